/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who called. sudo's variables count only for root, who could be anybody anyway; still they are
 * taken for what they are, text from outside: a value that fits no user is an error, because going
 * on would mean to run that user's commands as root.
 */
#include "injector/base/cleanup.h"
#include "injector/kernel/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#define NOBODY	   65534 /* the kernel's own (overflowuid): no files have to be read for it */
#define MAX_GROUPS 4096

/* Decimal digits alone, within range, and not (uid_t)-1, which means "unchanged" to setresuid(2).
 */
static int parse_id(const char *name, const char *text, uint32_t *out, struct error *err)
{
	uint64_t number = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9' && at - text < 10; at++)
		number = number * 10 + (uint64_t)(*at - '0');
	if (at == text || *at || number >= UINT32_MAX) {
		error_set(err, EINVAL, "%s is '%.40s', which is not a number of a user or group",
			  name, text);
		return error_remedy(err, "call squall through sudo, or unset %s", name);
	}
	*out = (uint32_t)number;
	return 0;
}

static bool is_member(const struct passwd *user, gid_t gid)
{
	cleanup_free gid_t *groups = calloc(MAX_GROUPS, sizeof(*groups));
	int count = MAX_GROUPS;

	if (user->pw_gid == gid)
		return true;
	if (!groups || getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0)
		return false;
	for (int at = 0; at < count; at++)
		if (groups[at] == gid)
			return true;
	return false;
}

static int from_sudo(const char *uid_text, struct invoking_user *out, struct error *err)
{
	const char *gid_text = getenv("SUDO_GID");
	const struct passwd *user;
	uint32_t uid, gid;
	int result = parse_id("SUDO_UID", uid_text, &uid, err);

	if (result < 0)
		return result;
	user = getpwuid(uid);
	if (!user) {
		error_set(err, EINVAL, "SUDO_UID is %u, which is no user of this machine", uid);
		return error_remedy(err, "call squall through sudo, or unset SUDO_UID");
	}
	gid = user->pw_gid;
	if (gid_text) {
		result = parse_id("SUDO_GID", gid_text, &gid, err);
		if (result < 0)
			return result;
		if (!is_member(user, gid)) {
			error_set(err, EINVAL, "SUDO_GID is %u, which is no group of user %s", gid,
				  user->pw_name);
			return error_remedy(err, "call squall through sudo, or unset SUDO_GID");
		}
	}
	out->uid = uid;
	out->gid = gid;
	return 0;
}

struct invoking_user sandbox_conductor_user(const struct invoking_user *user)
{
	struct invoking_user found = *user;

	if (!found.uid)
		found = (struct invoking_user){NOBODY, NOBODY};
	/* A user whose only group is root's: the conductor does without it. */
	if (found.gid == 0)
		found.gid = NOBODY;
	return found;
}

int sandbox_invoking_user(struct invoking_user *out, struct error *err)
{
	struct invoking_user found = {.uid = getuid(), .gid = getgid()};
	const char *sudo_uid = getenv("SUDO_UID");
	int result = 0;

	if (found.uid == 0 && sudo_uid)
		result = from_sudo(sudo_uid, &found, err);
	if (result == 0)
		*out = found;
	return result;
}

struct rights {
	gid_t group, groups[MAX_GROUPS];
	int count;
};

/* Effective rights only: the real ones stay root's, so nobody may signal us meanwhile. */
static int take_rights(const struct invoking_user *user, struct rights *old)
{
	cleanup_free gid_t *groups = calloc(MAX_GROUPS, sizeof(*groups));
	const struct passwd *entry = getpwuid(user->uid);
	int count = MAX_GROUPS;

	old->group = getegid();
	old->count = getgroups(MAX_GROUPS, old->groups);
	if (old->count < 0)
		return -errno;
	if (!groups)
		return -ENOMEM;
	if (!entry || getgrouplist(entry->pw_name, user->gid, groups, &count) < 0) {
		groups[0] = user->gid;
		count = 1;
	}
	if (setgroups((size_t)count, groups) < 0 || setegid(user->gid) < 0 ||
	    seteuid(user->uid) < 0)
		return -errno;
	return 0;
}

static void take_back(const struct rights *old)
{
	/* Half a root would fail somewhere in the middle of a run. */
	if (seteuid(0) < 0 || setegid(old->group) < 0 ||
	    (old->count >= 0 && setgroups((size_t)old->count, old->groups) < 0))
		abort();
}

int sandbox_open_as_caller(const char *path, int flags, struct error *err)
{
	struct invoking_user user = {0};
	cleanup_free struct rights *old = NULL;
	int fd = -1, result = geteuid() == 0 ? sandbox_invoking_user(&user, err) : 0;

	if (result < 0)
		return result;
	if (user.uid == 0) {
		fd = open(path, flags, 0666);
		return fd < 0 ? error_errno(err, errno, "cannot open %s", path) : fd;
	}
	old = calloc(1, sizeof(*old));
	if (!old)
		return error_errno(err, ENOMEM, "cannot open %s", path);
	result = take_rights(&user, old);
	if (result == 0) {
		fd = open(path, flags, 0666);
		result = fd < 0 ? -errno : 0;
	}
	take_back(old);
	if (result == 0)
		return fd;
	error_errno(err, -result, "cannot open %s", path);
	if (result == -EACCES)
		error_remedy(err,
			     "it is read with the rights of user %u, who called sudo; let "
			     "that user read it, or pass it as standard input: -",
			     user.uid);
	return result;
}
