/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * BPF programs, given as instructions, and maps, by the bare system call: libbpf first asks the
 * kernel some twenty questions about itself, which takes ten times as long as loading what we have.
 * Nothing is pinned, ever: what is here lives as long as its descriptor or what it is attached to.
 */
#ifndef SQUALL_BPF_H
#define SQUALL_BPF_H

#include "injector/base/error.h"

#include <linux/bpf.h>
#include <stdint.h>

struct bpf_code {
	const char *name; /* at most 15 characters; what bpftool shows */
	enum bpf_prog_type type;
	const struct bpf_insn *instructions;
	unsigned count;
};

/* Needs CAP_BPF and CAP_NET_ADMIN (or CAP_SYS_ADMIN) in the initial user namespace. The error
 * carries what the kernel's verifier said last. */
int bpf_load(const struct bpf_code *code, int *out_program_fd, struct error *err);

/* Before 5.11 programs and maps count as locked memory (RLIMIT_MEMLOCK), which is 64 KiB mostly:
 * makes it unlimited for this process. Needs CAP_SYS_RESOURCE there; a failure shows at the maps.
 */
void bpf_unlimit_memory(void);

struct bpf_map_shape {
	const char *name; /* at most 15 characters */
	enum bpf_map_type type;
	uint32_t key_size, value_size, entries;
};
/* A descriptor, close-on-exec. A prefix tree (BPF_MAP_TYPE_LPM_TRIE) grows as it is filled. */
int bpf_map_new(const struct bpf_map_shape *shape, int *out_map_fd, struct error *err);
int bpf_map_set(int map_fd, const void *key, const void *value, struct error *err);
/* -ENOENT if there is no such entry. */
int bpf_map_get(int map_fd, const void *key, void *out_value, struct error *err);
int bpf_map_remove(int map_fd, const void *key, struct error *err);

#endif
