# catalogue: feed, deletion and cached lookups for learning platforms
#
#   make && make install      build and install (PG_CONFIG names the server)
#   make installcheck         every PGXS suite against a running server
#   make help                 everything else

MODULE_big = catalogue
EXTENSION = catalogue
PG_CONFIG ?= pg_config

# The directory of this file: another one than the current in a VPATH build,
# and what wildcards have to be told.
source := $(dir $(firstword $(MAKEFILE_LIST)))
files = $(patsubst $(source)%,%,$(wildcard $(addprefix $(source),$(1))))

# := for all of them, as PGXS asks ifdef, which does not look behind a =
OBJS := $(patsubst %.c,%.o,$(call files,extension/*.c extension/*/*.c))
# The install script of the version in the making is joined from its pieces, in
# the order of their names; those of released versions are files of their own.
version := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" '$(source)catalogue.control')
script := extension/catalogue--$(version).sql
DATA := $(filter-out $(script),$(call files,extension/catalogue--*.sql))
DATA_built := $(script)
DOCS := $(call files,README.md)

REGRESS := $(patsubst sql/%.sql,%,$(call files,sql/*.sql))
ISOLATION := $(patsubst test/isolation/specs/%.spec,%,$(call files,test/isolation/specs/*.spec))
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation
TAP_TESTS := $(if $(call files,test/t/*.pl),1)
PROVE_TESTS = test/t/*.pl
# expected output shall not depend on the server's locale
ENCODING = UTF8
NO_LOCALE = 1

EXTRA_CLEAN = results regression.diffs regression.out output_iso tmp_check tmp_check_iso log

# Headers are named from here: "feed/feed.h".
PG_CPPFLAGS = -I$(source)extension

# Warnings beyond those of the server's own flags.  These flags, and the
# attributes in its headers, are made for gcc: clang must not warn of them.
PG_CFLAGS = -Wall -Wextra -Wshadow \
	-Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	$(if $(findstring clang,$(shell $(CC) --version)),$(clang_warnings))
clang_warnings = -Wno-unknown-warning-option -Wno-unused-command-line-argument \
	-Wno-ignored-optimization-argument -Wno-ignored-attributes

# Calls between our own files are bound when the library is linked.  Else, before
# 16, each is looked up in all libraries of the server whenever a session loads ours.
SHLIB_LINK = $(if $(filter yes,$(call server_variable,with_gnu_ld)),-Xlinker -Bsymbolic-functions)

# These goals set up what they need, PostgreSQL included, so on the way to
# them nothing may ask pg_config.  PGXS is left out for one more reason: its
# own check only refuses.
own_goals := check check-matrix check-asserts check-valgrind coverage demo bench-feed bench-delete \
	bench-lookups checkver release-check help
pgxs_goals := $(filter-out $(own_goals),$(MAKECMDGOALS))

ifneq (,$(filter $(own_goals),$(MAKECMDGOALS)))

.PHONY: $(MAKECMDGOALS)

check check-matrix check-asserts check-valgrind coverage checkver release-check:
	@'$(source)test/bin/$@'

demo:
	@'$(source)test/bin/with-server' test/bin/demo

bench-feed bench-delete bench-lookups:
	@'$(source)test/bin/with-server' $(@:bench-%=test/bench/%)

help:
	@sed -n 's/^#> \{0,1\}//p' '$(firstword $(MAKEFILE_LIST))'

# make clean check
$(pgxs_goals):
	$(MAKE) -f '$(firstword $(MAKEFILE_LIST))' $@

else

# A VPATH build does not make what it finds in the source, and cannot install it.
ifneq ($(realpath .),$(realpath $(source)))
ifneq (,$(call files,$(OBJS) $(script)))
$(error run "make clean" in $(source) first: a VPATH build needs a source without built files)
endif
endif

PGXS := $(shell $(PG_CONFIG) --pgxs)

# A server that was configured with LLVM wants bitcode of each extension,
# whose compiler is often not on the machine.
server_variable = $(shell sed -n 's/^$(1) *= *//p' '$(dir $(PGXS))../Makefile.global')
ifneq (0 0,$(shell { $(call server_variable,CLANG) --version; } >/dev/null 2>&1; echo $$?) \
		$(shell test -x '$(call server_variable,LLVM_BINPATH)/llvm-lto'; echo $$?))
override with_llvm = no
endif

# A VPATH build.  A server that was built within its own sources does not set
# this: configure has taken it out of PGXS along with its own.
ifneq (./,$(source))
VPATH := $(source)
$(shell mkdir -p $(sort $(dir $(OBJS))))
endif

include $(PGXS)

# the directory too, for a piece that has gone
$(script): $(sort $(call files,extension/sql/*.sql)) extension/sql
	cat $(filter %.sql,$^) >$@

$(OBJS) $(OBJS:.o=.bc): $(wildcard $(addprefix $(source),extension/*.h extension/*/*.h))

endif

#> make                 build against the server that PG_CONFIG names
#> make install         install it there (DESTDIR=, PG_CONFIG=)
#> make installcheck    regression, isolation and TAP tests on that server, running
#> make clean           remove what the above leave in the tree
#>
#> These install what is missing (Debian), start a throw-away server of their
#> own, and leave nothing behind:
#>
#> make check           every test (PG_CONFIG=, CC=)
#> make check-matrix    make check on PostgreSQL 15, 17, 18 and 19 (VERSIONS="15 19")
#> make check-asserts   make check on PostgreSQL 18 built with assertions (VERSION=19)
#> make check-valgrind  the regression tests under valgrind
#> make coverage        the lines of C that no test reaches
#> make demo            a tour with real output
#> make bench-feed      benchmark of recent_chapters
#> make bench-delete    benchmark of delete_professor_batch
#> make bench-lookups   benchmark of cached_lookups
#>
#> make checkver        compare the version in every file that names it
#> make release-check   may this commit be released? (RELEASE.md)
