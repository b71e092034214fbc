# SPDX-License-Identifier: GPL-2.0-or-later
#
# make            build build/squall              sudo make demo    see it work, on real components
# sudo make check all tests                       make help         everything else

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
say = @printf '  %-7s %s\n' $(1) $(2)

PACKAGES := libnl-3.0 libnl-route-3.0 libnftables libbpf yaml-0.1 libseccomp jansson libcap
# libcurl is loaded by the HTTP probe when a file has one: its GnuTLS costs 10 ms at every start
HEADERS_ONLY := libcurl

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
ifneq ($(CI),)
WARNINGS += -Werror
endif

CFLAGS ?= -g
ALL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DSQUALL_VERSION='"$(VERSION)"' -I. -I$(BUILD) \
	$(WARNINGS) $(HARDENING) $(OPTIMIZE) \
	$(shell pkg-config --cflags $(PACKAGES) $(HEADERS_ONLY) 2>/dev/null) $(CFLAGS)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed $(OPTIMIZE) -pthread $(LDFLAGS)
LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lm

SOURCES := $(sort $(wildcard injector/*/*.c) $(wildcard faults/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY := $(BUILD)/libsquall.a
BPF     := $(sort $(wildcard faults/bpf/*.bpf.c))
SKELETONS := $(BPF:%.bpf.c=$(BUILD)/%.skel.h)
SUPPORT := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/support/*.c)))
UNIT_TESTS  := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/unit/test_*.c)))
NETNS_TESTS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/netns/test_*.c)))
TEST_TOOLS  := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/tools/*.c)))

.PHONY: all
all: $(BUILD)/squall

$(BUILD)/squall: $(BUILD)/injector/cli/main.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(LIBRARY): $(filter-out $(BUILD)/injector/cli/main.o,$(OBJECTS))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c | $(SKELETONS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The BPF objects run in the kernel: v2 instructions load on every kernel since 4.14
$(BUILD)/%.bpf.o: %.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) -O2 -g -target bpf -mcpu=v2 -I/usr/include/$(shell $(CC) -print-multiarch) \
		-Wall -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(Q)bpftool gen skeleton $< name $(subst -,_,$(notdir $*)) > $@.tmp && mv $@.tmp $@

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(SUPPORT) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBRARY) $(LIBS) -lcmocka

.PRECIOUS: $(BUILD)/%.o $(BUILD)/%.bpf.o $(BUILD)/%.skel.h

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: test-programs clean help install setup
test-programs: $(BUILD)/squall $(UNIT_TESTS) $(NETNS_TESTS) $(TEST_TOOLS)

clean:
	$(Q)rm -rf build

help:
	@sed -n 's/^# \{0,1\}//;3,5p' Makefile
