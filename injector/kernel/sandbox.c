/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Gives up what is not needed, and checks that it is gone: a sandbox that did not take hold is an
 * error, never a warning. Nothing here reads the environment but sandbox_invoking_user().
 */
#include "injector/kernel/sandbox.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/sandbox_lists.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#define ALL_CAPABILITIES 64

static void cleanup_cap_at(cap_t *set)
{
	if (*set)
		cap_free(*set);
}
#define cleanup_cap __attribute__((cleanup(cleanup_cap_at)))

static int no_new_privileges(struct error *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(err, errno, "cannot give up gaining privileges by exec");
	return 0;
}

/* The bounding set: without CAP_SETPCAP it stays as it is, which no_new_privs makes harmless. */
static int drop_bounding(uint64_t keep, struct error *err)
{
	for (int cap = 0; cap < ALL_CAPABILITIES; cap++) {
		if (keep >> cap & 1)
			continue;
		if (cap_get_bound(cap) != 1)
			continue;
		if (cap_drop_bound(cap) < 0 && errno != EPERM)
			return error_errno(err, errno,
					   "cannot drop capability %d from the "
					   "bounding set",
					   cap);
	}
	return 0;
}

static void name_capability(int cap, char out[32])
{
	char *name = cap_to_name(cap);

	snprintf(out, 32, "%s", name ? name : "?");
	if (name)
		cap_free(name);
}

/* Permitted and effective: exactly `keep`; inheritable and ambient: nothing. */
static int set_capabilities(uint64_t keep, struct error *err)
{
	cleanup_cap cap_t set = cap_init(), has = cap_get_proc();

	if (!set || !has)
		return error_errno(err, errno, "cannot read the capabilities of this process");
	for (cap_value_t cap = 0; cap < ALL_CAPABILITIES; cap++) {
		cap_flag_value_t value = CAP_CLEAR;
		char name[32];

		if (!(keep >> cap & 1))
			continue;
		if (cap_get_flag(has, cap, CAP_PERMITTED, &value) < 0 || value != CAP_SET) {
			name_capability(cap, name);
			error_set(err, EPERM, "this process lacks the capability %s", name);
			return error_remedy(err, "run it as root, in a container with --cap-add "
						 "for what is missing");
		}
		cap_set_flag(set, CAP_PERMITTED, 1, &cap, CAP_SET);
		cap_set_flag(set, CAP_EFFECTIVE, 1, &cap, CAP_SET);
	}
	if (cap_reset_ambient() < 0 || cap_set_proc(set) < 0)
		return error_errno(err, errno, "cannot give up capabilities");
	return 0;
}

static int verify_capabilities(uint64_t keep, struct error *err)
{
	static const cap_flag_t flags[] = {CAP_PERMITTED, CAP_EFFECTIVE, CAP_INHERITABLE};
	cleanup_cap cap_t set = cap_get_proc();

	if (!set)
		return error_errno(err, errno, "cannot read the capabilities of this process");
	for (cap_value_t cap = 0; cap < ALL_CAPABILITIES; cap++)
		for (unsigned at = 0; at < sizeof(flags) / sizeof(*flags); at++) {
			cap_flag_value_t value = CAP_CLEAR;
			bool wanted = flags[at] != CAP_INHERITABLE && (keep >> cap & 1);

			if (cap_get_flag(set, cap, flags[at], &value) == 0 &&
			    (value == CAP_SET) != wanted)
				return error_set(err, EPERM,
						 "capability %d is still held after it was given "
						 "up",
						 cap);
		}
	return 0;
}

int sandbox_keep_capabilities(uint64_t keep, struct error *err)
{
	int result = drop_bounding(keep, err);

	if (result == 0)
		result = set_capabilities(keep, err);
	if (result == 0)
		result = no_new_privileges(err);
	return result < 0 ? result : verify_capabilities(keep, err);
}

static int change_user(uid_t uid, gid_t gid, struct error *err)
{
	/* An ordinary user who is that user already keeps the groups: they cannot be given up. */
	if (geteuid() == uid && getuid() == uid && uid != 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return error_errno(err, errno, "cannot become user %u, group %u", uid, gid);
	return 0;
}

static int verify_user(uid_t uid, gid_t gid, struct error *err)
{
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	if (getresuid(&real, &effective, &saved) < 0 ||
	    getresgid(&real_group, &effective_group, &saved_group) < 0)
		return error_errno(err, errno, "cannot read the user of this process");
	if (real != uid || effective != uid || saved != uid || real_group != gid ||
	    effective_group != gid || saved_group != gid)
		return error_set(err, EPERM, "this process is not wholly user %u, group %u", uid,
				 gid);
	if (setuid(0) == 0 || setresuid((uid_t)-1, 0, (uid_t)-1) == 0 || setgid(0) == 0)
		return error_set(err, EPERM, "this process can still become root");
	return 0;
}

int sandbox_drop_user(uid_t uid, gid_t gid, struct error *err)
{
	int result;

	if (uid == 0 || gid == 0)
		return error_set(err, EINVAL,
				 "giving up root for user %u, group %u changes nothing", uid, gid);
	result = drop_bounding(0, err);
	if (result == 0)
		result = change_user(uid, gid, err);
	if (result == 0)
		result = sandbox_keep_capabilities(0, err);
	/* Nobody of the same user may attach to what was root a moment ago (ptrace(2)). */
	if (result == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		result = error_errno(err, errno, "cannot protect this process from tracing");
	return result < 0 ? result : verify_user(uid, gid, err);
}

static int add_rule(scmp_filter_ctx filter, const struct sandbox_rule *rule)
{
	struct scmp_arg_cmp compare[SANDBOX_ARGS];

	for (unsigned at = 0; at < rule->arg_count; at++)
		compare[at] = SCMP_CMP64(rule->args[at].arg, SCMP_CMP_MASKED_EQ,
					 rule->args[at].mask, rule->args[at].value);
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->call, rule->arg_count, compare);
}

static int add_common(scmp_filter_ctx filter)
{
	/* Its flags lie in memory, where no filter can look; ENOSYS makes glibc take clone(2). */
	int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	if (result == 0) /* abort() */
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
					  SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)getpid()));
	for (unsigned at = 0; result == 0 && sandbox_deadly[at] != SANDBOX_END; at++)
		result = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, sandbox_deadly[at], 0);
	return result;
}

static int build(scmp_filter_ctx filter, const struct sandbox_rule *const *groups)
{
	int result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (result == 0)
		result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (result == 0) /* a binary tree: the same few steps for every call */
		result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (result == 0)
		result = add_common(filter);
	for (; result == 0 && *groups; groups++)
		for (const struct sandbox_rule *rule = *groups;
		     result == 0 && rule->call != SANDBOX_END; rule++)
			result = add_rule(filter, rule);
	return result;
}

/* -DSQUALL_SANDBOX_LOG lets everything else pass and writes it to the kernel's audit log instead:
 * to find what a list lacks. A compile-time switch, for the environment of a root process is no
 * place. */
#ifdef SQUALL_SANDBOX_LOG
#define DEFAULT_ACTION SCMP_ACT_LOG
#else
#define DEFAULT_ACTION SCMP_ACT_ERRNO(EPERM)
#endif

static int load(const struct sandbox_rule *const *groups, const char *who, struct error *err)
{
	scmp_filter_ctx filter = seccomp_init(DEFAULT_ACTION);
	int result;

	if (!filter)
		return error_errno(err, ENOMEM, "cannot make the system call filter of the %s",
				   who);
	result = build(filter, groups);
	if (result == 0)
		result = seccomp_load(filter);
	seccomp_release(filter);
	if (result < 0)
		return error_errno(err, -result, "cannot load the system call filter of the %s",
				   who);
	return 0;
}

int sandbox_conductor(struct error *err)
{
	return load(sandbox_conductor_groups, "conductor", err);
}

int sandbox_worker(struct error *err)
{
	return load(sandbox_worker_groups, "worker", err);
}

int sandbox_guardian(struct error *err)
{
	return load(sandbox_guardian_groups, "guardian", err);
}
