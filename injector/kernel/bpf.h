/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Loading BPF programs. The only user of libbpf: others pass the object (the ELF bytes of a
 * skeleton header) and get a descriptor. Nothing is pinned, ever: a program lives as long as its
 * descriptor or what it is attached to.
 */
#ifndef SQUALL_BPF_H
#define SQUALL_BPF_H

#include "injector/base/error.h"

#include <stddef.h>

struct bpf_source {
	const void *object; /* ELF */
	size_t object_size;
	const char *program; /* function name */
	const void *
		constants; /* contents of .rodata, as in the skeleton's struct; NULL: as compiled */
	size_t constants_size;
};

/* Loads one program of the object; its constants are frozen, its maps stay with it. Needs CAP_BPF
 * and CAP_NET_ADMIN (or CAP_SYS_ADMIN) in the initial user namespace. The error carries what the
 * kernel's verifier said last. */
int bpf_load(const struct bpf_source *source, int *out_program_fd, struct error *err);

#endif
