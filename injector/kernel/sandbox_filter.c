/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/sandbox_filter.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>

/* libseccomp's level of what kernels since 4.14 have (KILL_PROCESS, LOG); by default it would ask
 * the kernel that squall is built on. */
#define API_LEVEL 3

/* A number of 16 bits for a tracer; as sandbox_filter_untell() reads it. */
static unsigned tell(enum sandbox_teller teller, unsigned rule)
{
	return (unsigned)teller << 12 | rule;
}

void sandbox_filter_untell(unsigned told, enum sandbox_teller *out_teller, unsigned *out_rule)
{
	*out_teller = told >> 12;
	*out_rule = told & 0xfff;
}

static int add_rule(scmp_filter_ctx filter, const struct sandbox_rule *rule, uint32_t action)
{
	struct scmp_arg_cmp compare[SANDBOX_ARGS];

	for (unsigned at = 0; at < rule->arg_count; at++)
		compare[at] = SCMP_CMP64(rule->args[at].arg, SCMP_CMP_MASKED_EQ,
					 rule->args[at].mask, rule->args[at].value);
	return seccomp_rule_add_array(filter, action, rule->call, rule->arg_count, compare);
}

static int add_common(scmp_filter_ctx filter)
{
	/* Its flags lie in memory, where no filter can look; ENOSYS makes glibc take clone(2). */
	int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	if (result == 0) /* abort() */
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
					  SCMP_A0_32(SCMP_CMP_EQ, SANDBOX_OWN_PID));
	for (unsigned at = 0; result == 0 && sandbox_deadly[at] != SANDBOX_END; at++)
		result = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, sandbox_deadly[at], 0);
	return result;
}

static int add_all(scmp_filter_ctx filter, const struct sandbox_group *groups, unsigned choice,
		   enum sandbox_teller teller)
{
	unsigned number = 0;
	int result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (result == 0) /* a binary tree: the same few steps for every call */
		result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (result == 0)
		result = add_common(filter);
	for (; result == 0 && groups->purpose; groups++)
		for (const struct sandbox_rule *rule = groups->rules;
		     result == 0 && rule->call != SANDBOX_END; rule++) {
			number++;
			if (sandbox_group_applies(groups, choice))
				result = add_rule(filter, rule,
						  teller ? SCMP_ACT_TRACE(tell(teller, number))
							 : SCMP_ACT_ALLOW);
		}
	return result;
}

/* libseccomp 2.5 exports to a descriptor only. */
static int export(scmp_filter_ctx filter, struct sock_filter *out)
{
	cleanup_fd int fd = memfd_create("filter", MFD_CLOEXEC);
	const size_t room = SANDBOX_FILTER_MAX * sizeof(*out);
	int result = fd < 0 ? -errno : seccomp_export_bpf(filter, fd);
	ssize_t got;

	if (result < 0)
		return result;
	if (lseek(fd, 0, SEEK_END) > (off_t)room)
		return -E2BIG;
	got = pread(fd, out, room, 0);
	return got < 0 ? -errno : (int)((size_t)got / sizeof(*out));
}

int sandbox_filter_build(const struct sandbox_group *groups, unsigned choice,
			 enum sandbox_teller teller, struct sock_filter *out)
{
	scmp_filter_ctx filter;
	int result = seccomp_api_set(API_LEVEL);

	if (result < 0)
		return result;
	filter = seccomp_init(teller ? SCMP_ACT_TRACE(tell(teller, 0)) : SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return -ENOMEM;
	result = add_all(filter, groups, choice, teller);
	if (result == 0)
		result = export(filter, out);
	seccomp_release(filter);
	return result;
}
