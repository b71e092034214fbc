/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Gives up what is not needed, and checks that it is gone: a sandbox that did not take hold is an
 * error, never a warning. Nothing here reads the environment but sandbox_invoking_user().
 */
#include "injector/kernel/sandbox.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/sandbox_filter.h"
#include "injector/kernel/sandbox_filters.h" /* generated */

#include <errno.h>
#include <grp.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

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
		if (keep >> cap & 1 || cap_drop_bound(cap) == 0)
			continue;
		if (errno == EPERM || errno == EINVAL) /* the kernel knows no more of them */
			return 0;
		return error_errno(err, errno, "cannot drop capability %d from the bounding set",
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
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || cap_set_proc(set) < 0)
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

static int give_up_rest(uint64_t keep, struct error *err)
{
	int result = set_capabilities(keep, err);

	if (result == 0)
		result = no_new_privileges(err);
	return result < 0 ? result : verify_capabilities(keep, err);
}

int sandbox_keep_capabilities(uint64_t keep, struct error *err)
{
	int result = drop_bounding(keep, err);

	return result < 0 ? result : give_up_rest(keep, err);
}

uint64_t sandbox_held(uint64_t wanted)
{
	cleanup_cap cap_t set = cap_get_proc();
	uint64_t held = 0;

	for (cap_value_t cap = 0; set && cap < ALL_CAPABILITIES; cap++) {
		cap_flag_value_t value = CAP_CLEAR;

		if (wanted >> cap & 1 && cap_get_flag(set, cap, CAP_PERMITTED, &value) == 0 &&
		    value == CAP_SET)
			held |= 1ULL << cap;
	}
	return held;
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
	result = drop_bounding(0, err); /* takes CAP_SETPCAP, which goes with the user */
	if (result == 0)
		result = change_user(uid, gid, err);
	if (result == 0)
		result = give_up_rest(0, err);
	/* Nobody of the same user may attach to what was root a moment ago (ptrace(2)). */
	if (result == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		result = error_errno(err, errno, "cannot protect this process from tracing");
	return result < 0 ? result : verify_user(uid, gid, err);
}

/* The filter compares the process's own number, which is known only now. */
static void fill_in_pid(struct sock_filter *filter, size_t count)
{
	for (size_t at = 0; at < count; at++)
		if (BPF_CLASS(filter[at].code) == BPF_JMP && filter[at].k == SANDBOX_OWN_PID)
			filter[at].k = (uint32_t)getpid();
}

static int load(const struct sandbox_filter *filter, const char *who, struct error *err)
{
	struct sock_filter own[SANDBOX_FILTER_MAX];
	const struct sock_fprog program = {.len = (unsigned short)filter->count, .filter = own};
	int result = no_new_privileges(err);

	if (result < 0)
		return result;
	memcpy(own, filter->code, filter->count * sizeof(*own));
	fill_in_pid(own, filter->count);
	/* TSYNC: all threads, should there be any; a positive answer is one that could not follow
	 */
	result = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
			      &program);
	if (result != 0)
		return error_errno(err, result < 0 ? errno : ESRCH,
				   "cannot load the system call filter of the %s", who);
	return 0;
}

int sandbox_conductor(struct error *err)
{
	return load(&conductor_filters[0], "conductor", err);
}

int sandbox_worker(uint64_t capabilities, struct error *err)
{
	return load(&worker_filters[sandbox_choice(capabilities)], "worker", err);
}

int sandbox_guardian(uint64_t capabilities, struct error *err)
{
	return load(&guardian_filters[sandbox_choice(capabilities)], "guardian", err);
}

int sandbox_reader(struct error *err)
{
	return load(&reader_filters[0], "reader of files", err);
}

int sandbox_tls(struct error *err)
{
	return load(&tls_filters[0], "process that speaks TLS", err);
}
