/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A selector of processes, compiled: what process_params says, ready to be put to one process after
 * the other. It judges likeness only; what must not be hit is protect.h's business.
 */
#ifndef SQUALL_FAULTS_PROCESS_MATCH_H
#define SQUALL_FAULTS_PROCESS_MATCH_H

#include "injector/base/error.h"
#include "injector/base/params.h"
#include "injector/kernel/cgroup.h"
#include "injector/kernel/proc.h"

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

struct process_match {
	const struct params *params; /* of process_params, not owned */
	bool is_explicit;	     /* processes named one by one: pid, pidfile */
	bool has_candidates;	     /* only these are asked, else every process */
	pid_t *candidates;	     /* owned */
	unsigned candidate_count;
	uid_t uid;
	char exe[512]; /* the given path behind its symbolic links */
	bool has_command, has_groups;
	regex_t command;       /* owned */
	struct cgroup *groups; /* owned */
	unsigned group_count;
	uint32_t *inodes; /* of listening sockets, sorted, owned */
	unsigned inode_count;
};

/* Zeroed first; to be released also after a failure. */
int process_match_init(struct process_match *match, const struct params *params, struct error *err);
void process_match_release(struct process_match *match);

/* 1: every key agrees, and `out` is filled; 0: not, or gone, or a zombie; -errno: it cannot be
 * told. Cheapest key first. */
int process_match_test(const struct process_match *match, pid_t pid, struct proc_stat *out,
		       struct error *err);

/* process_groups.c */
/* It takes everything in some control groups, now and later, and nothing else. */
bool process_match_is_whole_groups(const struct params *params);
bool process_match_has_groups(const struct params *params);
/* The control groups that the keys `cgroup`, `unit` and `container` name, together; none is in
 * another. Newly allocated. */
int process_match_groups(const struct params *params, struct cgroup **out, unsigned *out_count,
			 struct error *err);
/* The only one of them. -EINVAL: there are several, or others are meant as well. */
int process_match_one_group(const struct params *params, struct cgroup *out, struct error *err);

/* The selector in words: "name 'nginx', user 'www-data'". */
void process_match_describe(const struct params *params, char *out, size_t size);

#endif
