/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Loading BPF programs, given as instructions, by the bare system call: libbpf first asks the
 * kernel some twenty questions about itself, which takes ten times as long as loading what we have.
 * Nothing is pinned, ever: a program lives as long as its descriptor or what it is attached to.
 */
#ifndef SQUALL_BPF_H
#define SQUALL_BPF_H

#include "injector/base/error.h"

#include <linux/bpf.h>

struct bpf_code {
	const char *name; /* at most 15 characters; what bpftool shows */
	enum bpf_prog_type type;
	const struct bpf_insn *instructions;
	unsigned count;
};

/* Needs CAP_BPF and CAP_NET_ADMIN (or CAP_SYS_ADMIN) in the initial user namespace. The error
 * carries what the kernel's verifier said last. */
int bpf_load(const struct bpf_code *code, int *out_program_fd, struct error *err);

#endif
