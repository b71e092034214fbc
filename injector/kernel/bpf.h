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
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bare system call; -errno. The kernel refuses fields that it does not know, unless they are 0.
 */
int bpf_system_call(enum bpf_cmd command, union bpf_attr *attributes);

struct bpf_code {
	const char *name; /* at most 15 characters; what bpftool shows */
	enum bpf_prog_type type;
	const struct bpf_insn *instructions;
	unsigned count;
	enum bpf_attach_type attach; /* for types that are checked for where they will go */
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

/* Attaches a program to a control group, for as long as the descriptor lives. */
int bpf_link_cgroup(int program_fd, int cgroup_fd, enum bpf_attach_type attach, int *out_link_fd,
		    struct error *err);
/* Attaches a program that chooses the sockets of new connections to a network namespace (-1: our
 * own), behind those that are there, for as long as the descriptor lives. Linux 5.9. */
int bpf_link_lookup(int program_fd, int namespace_fd, int *out_link_fd, struct error *err);
struct bpf_lookup_link {
	uint32_t id;
	uint32_t namespace_inode;
};
/* False: it is no such link, or attached to nothing any more. */
bool bpf_link_describe_lookup(int link_fd, struct bpf_lookup_link *out);
/* Runs a program of tc on a frame, which it may change; *out_answer is what it returned. */
int bpf_try(int program_fd, const void *frame, size_t size, uint32_t *out_answer,
	    struct error *err);
/* False: it is attached to nothing any more; its control group is gone. */
bool bpf_link_is_attached(int link_fd);
/* Detaches every link to a program of that name, in the whole machine, whoever holds it. How many
 * there were, or -errno. Needs CAP_SYS_ADMIN. With `count_only` they are left alone. */
int bpf_links_end(const char *program_name, bool count_only, struct error *err);
/* The same for undoing: they go with the process that holds them, whose death is waited for. */
int bpf_links_undo(const char *program_name, struct error *err);
/* How many there are, and what ends them by hand: "bpftool link detach id 12; bpftool link detach
 * id 13", cut behind a whole command. */
int bpf_links_say(const char *program_name, char *out, size_t size, struct error *err);
/* Every link of a program to a control group or network namespace that exists; a negative answer of
 * fn ends it. Needs CAP_SYS_ADMIN. */
int bpf_links_each(int (*fn)(void *context, int link_fd, const char *program_name), void *context,
		   struct error *err);

#endif
