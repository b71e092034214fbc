# SPDX-License-Identifier: GPL-2.0-or-later
#
# sudo make setup   install what is needed from Debian (or: sudo scripts/setup demo | check)
# make              build build/squall
# sudo make demo    see it work on real nginx, in network namespaces of its own
# sudo make check   all tests: unit, network namespaces, Debian's kernel in a virtual machine
#
# make check-unit | check-netns | check-vm          one tier; TEST_ONLY="words" picks programs
# make check-kernels                                the machine tier on KERNELS="bullseye ... sid", and a table
# make check-peers                                  probes and notifications with real servers (20 s)
# make check-terminal                               the live view in tmux and over SSH (20 s)
# make check-editor                                 the JSON Schema in the YAML language server (by npm)
# make check-ci                                     what scripts/ci gives to CI jobs, in the lab
# make deb | check-deb                              a Debian package; the same tried in a fresh Debian
# make check-report                                 the HTML report in a real browser, with pictures
# make asan | ubsan | sanitize                      the first two tiers with a sanitizer, or both
# make fuzz                                         every fuzzer for FUZZ_SECONDS=60
# make sweep | sweep-restore                        death at every system call of whole experiments; a failure at
#                                                   every call of restoring (hours; SHARE=50: one in fifty;
#                                                   RESUME=1 goes on with an interrupted one)
# make check-filters                                tests that run squall, with filters that tell what the lists lack (10 min)
# make sweep-vm                                     a sample of both on Debian's own kernel, with netem (15 min)
# make soak MINUTES=10                              random experiments and deaths; SEED= repeats one
# make bench                                        measured times and traffic, with tc, ip, nft and nothing beside
# make check-powerloss                              power lost at each system call; boot with systemd (10 min)
# make check-schedules                              game days by their timers, with systemd (3 min)
# make check-units                                  faults on real units, with systemd (3 min)
# make lint | format                                clang-format, clang-tidy, shellcheck, documents
# make documents                                    manual pages, completion, schema, in build/
# make install | uninstall                          PREFIX=/usr/local, DESTDIR=
# make clean
#
# V=1 shows commands, CI=1 makes warnings errors, VARIANT=asan|ubsan builds in build/VARIANT.

PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
CLANG   ?= clang
VERSION := 0.1.0

# Variants have their own directory: make VARIANT=asan, VARIANT=ubsan
VARIANT ?= release
ifeq ($(VARIANT),release)
BUILD := build
else
BUILD := build/$(VARIANT)
endif

Q := @
ifneq ($(V),)
Q :=
endif
say = @printf '  %-7s %s\n' '$(1)' '$(strip $(2))'

PACKAGES := libnl-3.0 yaml-0.1 jansson libcap nettle
# libcurl is loaded by the HTTP probe when a file has one: its GnuTLS costs 10 ms at every start; OpenSSL by an `http`
# fault inside TLS, in a process of its own
HEADERS_ONLY := libcurl libssl

WARNINGS := -Wall -Wextra -Wshadow -Wundef -Wvla -Wformat=2 -Wstrict-prototypes \
	-Wmissing-prototypes -Wcast-qual -Wwrite-strings -Wnull-dereference -Wimplicit-fallthrough
HARDENING := -fstack-protector-strong -fstack-clash-protection -fPIE
OPTIMIZE := -O2 -D_FORTIFY_SOURCE=3
ifeq ($(VARIANT),asan)
OPTIMIZE := -O1 -fno-omit-frame-pointer -fsanitize=address
endif
ifeq ($(VARIANT),ubsan)
OPTIMIZE := -O1 -fno-omit-frame-pointer -fsanitize=undefined -fno-sanitize-recover=undefined
endif
ifeq ($(VARIANT),sanitize)
OPTIMIZE := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
endif
ifeq ($(VARIANT),fuzz)
WARNINGS := # clang's; gcc's are the ones that count
OPTIMIZE := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
endif
# Not with a sanitizer: its instructions make gcc warn of what the plain build proves impossible
ifneq ($(CI),)
ifeq ($(VARIANT),release)
WARNINGS += -Werror
endif
endif

CFLAGS ?= -g
ALL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DSQUALL_VERSION='"$(VERSION)"' -I. -I$(BUILD) \
	$(WARNINGS) $(HARDENING) $(OPTIMIZE) -fno-math-errno \
	$(shell pkg-config --cflags $(PACKAGES) $(HEADERS_ONLY) 2>/dev/null) $(CFLAGS)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed $(OPTIMIZE) -pthread $(LDFLAGS)
# Small libraries go into the program where their archives are installed: each shared one costs every
# start 50 us. A distribution that wants them shared says STATIC=
STATIC ?= nl-3 yaml jansson cap nettle
archive = $(if $(findstring /,$(shell $(CC) -print-file-name=lib$(1).a)),-l:lib$(1).a)
LIBS := $(foreach name,$(STATIC),$(call archive,$(name))) \
	$(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lm

SOURCES := $(sort $(wildcard injector/*/*.c) $(wildcard faults/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY := $(BUILD)/libsquall.a
SUPPORT := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/support/*.c)))
UNIT_TESTS  := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/unit/test_*.c)))
NETNS_TESTS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/netns/test_*.c)))
FUZZERS     := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
TEST_TOOLS  := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/tools/*.c)))

.PHONY: all
all: $(BUILD)/squall

$(BUILD)/squall: $(BUILD)/injector/cli/main.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(LIBRARY): $(filter-out $(BUILD)/injector/cli/main.o,$(OBJECTS))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The system call filters are made once, here: see injector/kernel/sandbox_filter.h
FILTERS := $(BUILD)/injector/kernel/sandbox_filters.h
$(FILTERS): $(BUILD)/injector/kernel/generate/sandbox_filters
	$(call say,FILTER,$@)
	$(Q)$< > $@.tmp && mv $@.tmp $@

$(BUILD)/injector/kernel/generate/sandbox_filters: $(addprefix $(BUILD)/injector/kernel/, \
		generate/sandbox_filters.o sandbox_filter.o sandbox_lists.o)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lseccomp

$(BUILD)/injector/kernel/sandbox.o $(BUILD)/tests/unit/test_sandbox_filter.o: $(FILTERS)

# So are the tables of the known distributions of delays
DISTRIBUTIONS := $(BUILD)/faults/network_distributions.h
$(DISTRIBUTIONS): $(BUILD)/faults/generate/distributions
	$(call say,TABLES,$@)
	$(Q)$< > $@.tmp && mv $@.tmp $@

$(BUILD)/faults/generate/distributions: $(BUILD)/faults/generate/distributions.o
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lm

$(BUILD)/faults/network_distribution.o: $(DISTRIBUTIONS)

# A hundred of them: most of the time goes into linking
TEST_LINKER := $(if $(shell command -v mold 2>/dev/null),-fuse-ld=mold)
# muldefs: a test may stand in for a function of the library; the first definition, the test's, counts
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(SUPPORT) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(TEST_LINKER) -Wl,-z,muldefs -Wl,--wrap=_cmocka_run_group_tests -o $@ \
		$(filter %.o,$^) $(LIBRARY) $(LIBS) -lseccomp -lcmocka

# A squall whose filters forbid nothing and tell a tracer of every call: nothing that could be installed
TELLING := $(BUILD)/tests/filters/squall
TELLING_FILTERS := $(BUILD)/tests/filters/injector/kernel/sandbox_filters.h
$(TELLING_FILTERS): $(BUILD)/injector/kernel/generate/sandbox_filters
	$(Q)mkdir -p $(@D)
	$(Q)$< telling > $@.tmp && mv $@.tmp $@

$(BUILD)/tests/filters/sandbox.o: injector/kernel/sandbox.c $(TELLING_FILTERS)
	$(call say,CC,$@)
	$(Q)$(CC) -I$(BUILD)/tests/filters $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(TELLING): $(BUILD)/injector/cli/main.o $(BUILD)/tests/filters/sandbox.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# The sweep's own parts, and a squall with a mistake that it must find, one that does not wait for the disk, and one
# that gets no memory
ODD := $(addprefix $(BUILD)/tests/sweep/,mutant forgetful out_of_memory)
SWEEP := $(filter-out $(ODD:%=%.o),$(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/sweep/*.c))))
$(addprefix $(BUILD)/tests/netns/,test_sweep test_restore_failures test_power_loss): $(SWEEP) | $(ODD)
$(BUILD)/tests/netns/test_filter_lists: $(SWEEP) | $(TELLING)
$(BUILD)/tests/netns/test_typed_undo: $(SWEEP)
$(BUILD)/tests/unit/test_typed_words: $(BUILD)/tests/sweep/typed_words.o
$(BUILD)/tests/unit/test_repeats: $(BUILD)/tests/sweep/repeats.o
$(BUILD)/tests/netns/test_redirect: $(BUILD)/tests/sweep/netlink_text.o
$(BUILD)/tests/tools/soak $(addprefix $(BUILD)/tests/netns/,test_foreign_changes test_live_foreign_changes): $(SWEEP)
$(BUILD)/tests/tools/soak: $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/soak/*.c)))

$(BUILD)/tests/sweep/mutant: $(BUILD)/injector/cli/main.o $(BUILD)/tests/sweep/mutant.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=journal_undo,--wrap=journal_started -o $@ $^ $(LIBS)

$(BUILD)/tests/sweep/forgetful: $(BUILD)/injector/cli/main.o $(BUILD)/tests/sweep/forgetful.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=fsync,--wrap=fdatasync,--wrap=openat -o $@ $^ $(LIBS)

comma := ,
MEMORY := malloc calloc realloc reallocarray strdup strndup vasprintf __vasprintf_chk asprintf __asprintf_chk \
	fopen fdopen open_memstream opendir fdopendir __getdelim restore_locked restore_records worker_on_end worker_cut_steps
$(BUILD)/tests/sweep/out_of_memory: $(BUILD)/injector/cli/main.o $(BUILD)/tests/sweep/out_of_memory.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(MEMORY:%=-Wl$(comma)--wrap=%) -o $@ $^ $(LIBS)

$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -Wl,-z,muldefs -o $@ $< $(LIBRARY) $(LIBS)

# Manual pages and completion are made from the tables in the code
WORDS := $(BUILD)/injector/cli/generate/words
$(WORDS): $(WORDS).o $(LIBRARY)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

MANUALS := $(patsubst manual/%.in,$(BUILD)/manual/%,$(sort $(wildcard manual/*.[1-8].in)))
COMPLETIONS := $(addprefix $(BUILD)/completion/,squall.bash squall.zsh squall.fish)
SCHEMAS := $(BUILD)/schema/experiment.schema.json schema/result.schema.json
.PHONY: documents
documents: $(MANUALS) $(COMPLETIONS) $(SCHEMAS)

$(BUILD)/manual/%: manual/%.in $(WORDS) $(BUILD)/squall
	$(call say,MANUAL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(WORDS) manual $(BUILD)/squall $< > $@.tmp && mv $@.tmp $@

$(BUILD)/completion/squall.%: $(WORDS) $(BUILD)/squall
	$(call say,SHELL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(WORDS) $* $(BUILD)/squall > $@.tmp && mv $@.tmp $@

$(BUILD)/schema/experiment.schema.json: $(BUILD)/squall
	$(Q)mkdir -p $(@D)
	$(Q)$< schema > $@.tmp && mv $@.tmp $@

.PRECIOUS: $(BUILD)/%.o

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)

.PHONY: test-programs
# The fuzzers need clang, but what they are written against changes with everybody's build.
test-programs: $(BUILD)/squall $(UNIT_TESTS) $(NETNS_TESTS) $(TEST_TOOLS) $(FUZZERS:%=$(BUILD)/tests/fuzz/%.o)

# A package list and nothing else: what is there already costs no time
.PHONY: setup
setup:
	$(Q)scripts/setup all

.PHONY: demo
demo:
	$(Q)scripts/setup demo
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/tools/flowclock
	$(Q)scripts/demo

# One runner for all tiers, so that a failure in the first does not hide the others
run_tests = $(Q)BUILD=$(BUILD) scripts/run-tests

.PHONY: check check-unit check-netns check-vm check-kernels
check:
	$(Q)scripts/setup check
	$(Q)$(MAKE) --no-print-directory test-programs
	$(run_tests) unit netns vm

check-unit: $(UNIT_TESTS)
	$(run_tests) unit

check-netns: test-programs
	$(run_tests) netns

check-vm: test-programs
	$(run_tests) vm

.PHONY: check-schedules
check-schedules: all
	$(Q)BUILD=$(BUILD) tests/vm/check-systemd schedules \
		'started by its timer, held, restored when killed, refused when closed, and removed without a trace'

.PHONY: check-units
check-units: all
	$(Q)BUILD=$(BUILD) tests/vm/check-systemd units 'one was slow, one had a bad configuration, and all is as it was'

.PHONY: check-powerloss
check-powerloss: all $(BUILD)/tests/netns/test_power_loss
	$(Q)$(BUILD)/tests/netns/test_power_loss full
	$(Q)BUILD=$(BUILD) tests/vm/power-loss

KERNELS ?= bullseye bookworm trixie sid
check-kernels: test-programs
	$(Q)BUILD=$(BUILD) scripts/check-kernels $(KERNELS)

# The HTML report in headless Chromium; pictures to look at in build/report
.PHONY: check-report
check-report:
	$(Q)scripts/setup report
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/tools/view_demo
	$(Q)BUILD=$(BUILD) tests/report/check

# Beside a real Prometheus, nginx with TLS and syslogd: asked, and told
.PHONY: check-peers
check-peers: all
	$(Q)scripts/setup peers
	$(Q)BUILD=$(BUILD) tests/peers/check

# In tmux, and in a session of an sshd of its own
.PHONY: check-terminal
check-terminal: all
	$(Q)scripts/setup terminal
	$(Q)BUILD=$(BUILD) tests/terminal/check

# The JSON Schema in the language server of editors, which npm fetches
.PHONY: check-editor
check-editor: $(BUILD)/schema/experiment.schema.json
	$(Q)BUILD=$(BUILD) tests/editor/check

# scripts/ci/run-experiment in the lab
.PHONY: check-ci
check-ci: all
	$(Q)BUILD=$(BUILD) tests/ci/check

# A Debian package, and the proof in a fresh Debian. Who makes it has an address (DEBEMAIL), the tree has none.
NO_MAIL := bogus-mail-host,bogus-mail-host-in-debian-changelog
.PHONY: deb check-deb
deb:
	$(Q)packaging/deb

check-deb: deb
	$(Q)scripts/setup package
	$(Q)packaging/check-deb build/squall_$(VERSION)_$$(dpkg --print-architecture).deb
	$(Q)lintian --allow-root --fail-on error,warning --suppress-tags $(NO_MAIL) build/squall_$(VERSION)_*.deb

.PHONY: asan ubsan sanitize
asan ubsan sanitize:
	$(Q)$(MAKE) --no-print-directory VARIANT=$@ test-programs
	$(Q)BUILD=build/$@ scripts/run-tests unit netns

# clang for everything: the fuzzed code itself must be instrumented
FUZZ_SECONDS ?= 60
.PHONY: fuzz fuzzers
fuzzers:
	$(Q)$(MAKE) --no-print-directory VARIANT=fuzz CC=$(CLANG) \
		$(FUZZERS:%=build/fuzz/tests/fuzz/%)

fuzz: fuzzers
	$(Q)scripts/fuzz $(FUZZ_SECONDS) $(FUZZERS:%=build/fuzz/tests/fuzz/%)

# Samples of them are in check-netns; EXPERIMENTS="loss stop" picks by name, SHARE=50 tries one point in fifty
SWEEP_SECONDS ?= 300
.PHONY: sweep sweep-restore sweep-vm soak
sweep: $(BUILD)/squall $(BUILD)/tests/netns/test_sweep
	$(Q)BUILD=$(BUILD) scripts/sweep death $(EXPERIMENTS)

sweep-restore: $(BUILD)/squall $(BUILD)/tests/netns/test_restore_failures
	$(Q)BUILD=$(BUILD) scripts/sweep restore $(EXPERIMENTS)

sweep-vm: $(BUILD)/squall $(BUILD)/tests/netns/test_sweep $(BUILD)/tests/netns/test_restore_failures
	$(Q)tests/vm/run -t $$(($(SWEEP_SECONDS) * 3 + 300)) bash -c \
		'$(BUILD)/tests/netns/test_sweep seconds $(SWEEP_SECONDS) $(EXPERIMENTS) && \
		$(BUILD)/tests/netns/test_restore_failures seconds $(SWEEP_SECONDS) $(EXPERIMENTS)'

# All programs that run squall as its users do, or those with a word of TEST_ONLY in their name, with filters that
# tell: which calls a list lacks, or holds for nobody. It lies over the program in a mount namespace of its own. A test
# that measures time or looks at a stopped process may fail under the tracer: what counts is the report. What looks
# at the filters themselves, or traces, is left out; test_filter_lists, in `make check`, has each kind of fault.
REPLAYED = $(or $(TEST_ONLY),$(filter-out test_doctor_sandbox,$(patsubst tests/netns/%.c,%,$(shell grep -l STAGE_RUN tests/netns/*.c))))
.PHONY: check-filters
check-filters: $(BUILD)/squall $(TELLING) $(BUILD)/tests/tools/filter_watch \
		$(sort $(foreach word,$(REPLAYED),$(foreach test,$(NETNS_TESTS),$(if $(findstring $(word),$(test)),$(test)))))
	$(Q)unshare --mount --propagation private sh -c 'mount --bind $(TELLING) $(BUILD)/squall && \
		TEST_ONLY="$(REPLAYED)" BUILD=$(BUILD) \
		$(BUILD)/tests/tools/filter_watch scripts/run-tests netns'

MINUTES ?= 10
soak: $(BUILD)/squall $(BUILD)/tests/tools/soak
	$(Q)$(BUILD)/tests/tools/soak $(MINUTES) $(SEED)

.PHONY: bench
bench:
	$(Q)scripts/setup bench
	$(Q)$(MAKE) --no-print-directory all $(TEST_TOOLS)
	$(Q)scripts/bench
	$(Q)scripts/bench-traffic

C_FILES = $(shell git ls-files '*.c' '*.h')
SCRIPTS = $(shell git ls-files | xargs -r grep -lE '^\#!/(usr/bin/env bash|bin/bash|bin/sh)' --)
TIDY_FILES = $(filter injector/%.c faults/%.c,$(C_FILES))
.PHONY: lint lint-format lint-shell lint-documents lint-tidy format
lint: lint-format lint-shell lint-documents lint-tidy

lint-documents: documents
	$(Q)BUILD=$(BUILD) tests/documents/check

lint-format:
	$(call say,FORMAT,$(words $(C_FILES)) files)
	$(Q)clang-format --dry-run -Werror $(C_FILES)

lint-shell:
	$(call say,SHELL,$(words $(SCRIPTS)) scripts)
	$(Q)shellcheck -x -P SCRIPTDIR/.. -P . $(SCRIPTS)

lint-tidy: export TIDY_FLAGS = $(filter-out -W% -f% -D_FORTIFY_SOURCE%,$(subst ',,$(ALL_CFLAGS)))
lint-tidy: $(FILTERS)
	$(call say,TIDY,$(words $(TIDY_FILES)) files)
	$(Q)printf '%s\n' $(TIDY_FILES) | { xargs -P $$(nproc) -n 4 \
		sh -c 'clang-tidy --quiet "$$@" -- $$TIDY_FLAGS 2>/dev/null' tidy || echo 'make: error: clang-tidy failed'; } | \
		awk '/: (warning|error): / {shown = !/Potential leak of memory|allocated with size zero/; failed += shown} shown; END {exit failed > 0}'

format:
	$(Q)clang-format -i $(C_FILES)

# systemd also looks below /usr/local. Wanted from the start: restoring is no option.
UNITS ?= $(PREFIX)/lib/systemd/system
RESTORE_UNIT := squall-restore.service

# Where Debian looks; empty where a system has no such shell
SHARE_DIR := $(DESTDIR)$(PREFIX)/share

.PHONY: install uninstall
install: all documents
	install -d $(DESTDIR)$(PREFIX)/sbin $(SHARE_DIR)/squall/experiments $(SHARE_DIR)/squall/schema
	install -m 755 $(BUILD)/squall $(DESTDIR)$(PREFIX)/sbin/squall
	install -d $(DESTDIR)$(UNITS)/sysinit.target.wants
	sed 's|@SBIN@|$(PREFIX)/sbin|' packaging/$(RESTORE_UNIT) > $(DESTDIR)$(UNITS)/$(RESTORE_UNIT)
	chmod 644 $(DESTDIR)$(UNITS)/$(RESTORE_UNIT)
	ln -sf ../$(RESTORE_UNIT) $(DESTDIR)$(UNITS)/sysinit.target.wants/$(RESTORE_UNIT)
	install -m 644 $(EXAMPLES) $(SHARE_DIR)/squall/experiments
	install -m 644 $(SCHEMAS) $(SHARE_DIR)/squall/schema
	$(foreach page,$(MANUALS),install -D -m 644 $(page) \
		$(SHARE_DIR)/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page));)
	install -D -m 644 $(BUILD)/completion/squall.bash $(SHARE_DIR)/bash-completion/completions/squall
	install -D -m 644 $(BUILD)/completion/squall.zsh $(SHARE_DIR)/zsh/vendor-completions/_squall
	install -D -m 644 $(BUILD)/completion/squall.fish $(SHARE_DIR)/fish/vendor_completions.d/squall.fish

uninstall:
	rm -f $(DESTDIR)$(UNITS)/$(RESTORE_UNIT) $(DESTDIR)$(UNITS)/sysinit.target.wants/$(RESTORE_UNIT)
	rm -f $(DESTDIR)$(PREFIX)/sbin/squall $(SHARE_DIR)/bash-completion/completions/squall \
		$(SHARE_DIR)/zsh/vendor-completions/_squall $(SHARE_DIR)/fish/vendor_completions.d/squall.fish
	rm -rf $(SHARE_DIR)/squall
	$(foreach page,$(MANUALS),rm -f \
		$(SHARE_DIR)/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page));)

EXAMPLES := $(sort $(wildcard experiments/*.yaml experiments/*.txt))

.PHONY: clean help
clean:
	$(Q)rm -rf build

help:
	@sed -n '3,/^$$/s/^# \{0,1\}//p' Makefile
