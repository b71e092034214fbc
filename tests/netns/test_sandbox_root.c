/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Giving up root: for good, wholly, and for the right user, whatever the environment says. Each
 * case in a process of its own. Needs root.
 */
#include "injector/kernel/file_reader.h"
#include "injector/kernel/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			dprintf(STDERR_FILENO, "line %d: %s: %s\n", __LINE__, #condition,          \
				strerror(errno));                                                  \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static int run_in_child(void (*fn)(void))
{
	pid_t child = fork();
	int status = -1;

	if (child == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void expect_status_lines(const char *const *lines)
{
	char text[8192] = "";
	int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	for (; *lines; lines++)
		if (!strstr(text, *lines)) {
			dprintf(STDERR_FILENO, "not in status: %s\n", *lines);
			_exit(1);
		}
}

static void drop(void)
{
	static const char *const gone[] = {"Uid:\t65534\t65534\t65534\t65534",
					   "Gid:\t65534\t65534\t65534\t65534",
					   "CapInh:\t0000000000000000",
					   "CapPrm:\t0000000000000000",
					   "CapEff:\t0000000000000000",
					   "CapBnd:\t0000000000000000",
					   "CapAmb:\t0000000000000000",
					   "NoNewPrivs:\t1",
					   "Groups:\t \n",
					   NULL};
	struct error err = ERROR_INIT;

	if (sandbox_drop_user(65534, 65534, &err) < 0)
		dprintf(STDERR_FILENO, "%s\n", err.text);
	CHECK(err.code == 0);
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	expect_status_lines(gone);
	CHECK(setuid(0) < 0 && errno == EPERM);
	CHECK(seteuid(0) < 0 && errno == EPERM);
	CHECK(setresuid(0, 0, 0) < 0 && errno == EPERM);
	CHECK(setgid(0) < 0 && errno == EPERM);
	CHECK(setgroups(0, NULL) < 0 && errno == EPERM);
	CHECK(open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES);
	CHECK(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM);
	CHECK(kill(1, 0) < 0 && errno == EPERM);
	/* and the filter on top of it, without privileges */
	CHECK(sandbox_conductor(&err) == 0);
	CHECK(syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == EPERM);
}

static void drop_to_root(void)
{
	struct error err = ERROR_INIT;

	CHECK(sandbox_drop_user(0, 65534, &err) == -EINVAL);
	CHECK(sandbox_drop_user(65534, 0, &err) == -EINVAL);
	CHECK(getuid() == 0);
}

static void keep_one(void)
{
	static const char *const kept[] = {"Uid:\t0\t0\t0\t0",
					   "CapInh:\t0000000000000000",
					   "CapPrm:\t0000000000001000",
					   "CapEff:\t0000000000001000",
					   "CapBnd:\t0000000000001000",
					   "NoNewPrivs:\t1",
					   NULL};
	struct error err = ERROR_INIT;

	if (sandbox_keep_capabilities(1ULL << CAP_NET_ADMIN, &err) < 0)
		dprintf(STDERR_FILENO, "%s\n", err.text);
	CHECK(err.code == 0);
	expect_status_lines(kept);
	CHECK(setresuid(65534, 65534, 65534) < 0 && errno == EPERM);
	CHECK(sandbox_keep_capabilities(1ULL << CAP_NET_RAW, &err) == -EPERM);
	CHECK(strstr(err.text, "cap_net_raw"));
	CHECK(err.remedy[0]);
	CHECK(sandbox_keep_capabilities(0, &err) == 0);
	CHECK(sandbox_worker(0, &err) == 0);
}

static void test_root_is_given_up_for_good(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(drop), 0);
	assert_int_equal(run_in_child(drop_to_root), 0);
}

static void test_only_the_wanted_capabilities_stay(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(keep_one), 0);
}

static int ask_with(const char *uid, const char *gid, struct invoking_user *out, struct error *err)
{
	uid ? setenv("SUDO_UID", uid, 1) : unsetenv("SUDO_UID");
	gid ? setenv("SUDO_GID", gid, 1) : unsetenv("SUDO_GID");
	return sandbox_invoking_user(out, err);
}

/* Some ordinary user of this machine with a group of its own */
static void somebody(uid_t *out_uid, gid_t *out_gid)
{
	const struct passwd *user;

	setpwent();
	while ((user = getpwent()))
		if (user->pw_uid && user->pw_gid) {
			*out_uid = user->pw_uid;
			*out_gid = user->pw_gid;
			return;
		}
	fail_msg("this machine has no ordinary user");
}

static void test_sudo_user_is_found(void **state)
{
	struct invoking_user user;
	struct error err = ERROR_INIT;
	char uid[16], gid[16];
	uid_t want_uid = 0;
	gid_t want_gid = 0;

	(void)state;
	somebody(&want_uid, &want_gid);
	snprintf(uid, sizeof(uid), "%u", want_uid);
	snprintf(gid, sizeof(gid), "%u", want_gid);
	for (int with_gid = 0; with_gid < 2; with_gid++) {
		assert_int_equal(ask_with(uid, with_gid ? gid : NULL, &user, &err), 0);
		assert_int_equal(user.uid, want_uid);
		assert_int_equal(user.gid, want_gid);
		assert_int_equal(sandbox_conductor_user(&user).uid, want_uid);
		assert_int_equal(sandbox_conductor_user(&user).gid, want_gid);
	}
	/* root by sudo from root, and root itself: commands as root, the conductor as nobody */
	for (int by_sudo = 0; by_sudo < 2; by_sudo++) {
		assert_int_equal(ask_with(by_sudo ? "0" : NULL, by_sudo ? "0" : NULL, &user, &err),
				 0);
		assert_int_equal(user.uid, 0);
		assert_int_not_equal(sandbox_conductor_user(&user).uid, 0);
		assert_int_not_equal(sandbox_conductor_user(&user).gid, 0);
	}
}

static void test_hostile_sudo_variables_are_refused(void **state)
{
	static const char *const bad[] = {
		"",	     "-1",     "4294967295", "4294967296", "99999999999999999999",
		"0x0",	     " 0",     "0 ",	     "+0",	   "1e3",
		"root",	     "1000\n", "1;id",	     "%n",	   "18446744073709551616",
		"3999999999"};
	struct invoking_user user = {.uid = 77};
	struct error err = ERROR_INIT;
	uid_t some_uid = 0;
	gid_t some_gid = 0;
	char uid[16];

	(void)state;
	somebody(&some_uid, &some_gid);
	snprintf(uid, sizeof(uid), "%u", some_uid);
	for (unsigned at = 0; at < sizeof(bad) / sizeof(*bad); at++) {
		if (ask_with(bad[at], NULL, &user, &err) != -EINVAL)
			fail_msg("SUDO_UID '%s' was taken", bad[at]);
		if (ask_with(uid, bad[at], &user, &err) != -EINVAL)
			fail_msg("SUDO_GID '%s' was taken", bad[at]);
		assert_true(err.remedy[0]);
	}
	/* root's group for somebody who is not in it */
	assert_int_equal(ask_with(uid, "0", &user, &err), -EINVAL);
	assert_int_equal(user.uid, 77); /* outputs are untouched */
}

/* sudo for squall alone must not be sudo for reading any file. */
static void test_files_are_opened_with_the_rights_of_the_caller(void **state)
{
	char path[] = "/tmp/squall-rights-XXXXXX", uid[16];
	gid_t groups[2][64];
	struct error err = ERROR_INIT;
	uid_t some_uid = 0;
	gid_t some_gid = 0;
	int fd = mkstemp(path), count = getgroups(64, groups[0]);

	(void)state;
	assert_true(fd >= 0); /* mode 0600, root's */
	close(fd);
	somebody(&some_uid, &some_gid);
	snprintf(uid, sizeof(uid), "%u", some_uid);
	setenv("SUDO_UID", uid, 1);
	unsetenv("SUDO_GID");
	assert_int_equal(sandbox_open_as_caller(path, O_RDONLY | O_CLOEXEC, &err), -EACCES);
	assert_non_null(strstr(err.remedy, uid));
	/* root's group does not help either */
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(sandbox_open_as_caller(path, O_RDONLY | O_CLOEXEC, &err), -EACCES);
	assert_int_equal(chmod(path, 0644), 0);
	fd = sandbox_open_as_caller(path, O_RDONLY | O_CLOEXEC, &err);
	assert_true(fd >= 0);
	close(fd);
	/* and root is root again, wholly */
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
	assert_int_equal(getgroups(64, groups[1]), count);
	assert_memory_equal(groups[0], groups[1], (size_t)count * sizeof(gid_t));
	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
	unsetenv("SUDO_UID");
	fd = sandbox_open_as_caller(path, O_RDONLY | O_CLOEXEC, &err);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
}

static void put_file(const char *path, const char *text, uid_t owner, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	assert_int_equal(fchown(fd, owner, (gid_t)-1), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int ask_reader(const struct file_reader *reader, const char *path, struct error *err)
{
	int fd = file_reader_open(reader, path, err);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static void assert_status(pid_t pid, const char *line)
{
	char path[40], text[8192] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	if (!strstr(text, line))
		fail_msg("not in the status: %s", line);
}

/* It opens what root may read and nobody else can have written, and cannot do much else. */
static void test_the_reader_of_included_files_can_read_alone(void **state)
{
	char folder[] = "/root/squall-reader-XXXXXX", path[64];
	struct file_reader reader = {0};
	struct error err = ERROR_INIT;
	char text[8] = "";
	int fd;

	(void)state;
	unsetenv("SUDO_UID");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/part", folder);
	put_file(path, "part", 0, 0);
	assert_int_equal(file_reader_start(&reader, &err), 0);
	fd = file_reader_open(&reader, path, &err);
	if (fd < 0)
		fail_msg("%s", err.text);
	assert_int_equal(read(fd, text, sizeof(text) - 1), 4);
	assert_string_equal(text, "part");
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	assert_status(reader.pid, "Uid:\t0\t0\t0\t0");
	assert_status(reader.pid, "CapPrm:\t0000000000000004"); /* DAC_READ_SEARCH */
	assert_status(reader.pid, "CapEff:\t0000000000000004");
	assert_status(reader.pid, "CapBnd:\t0000000000000004");
	assert_status(reader.pid, "NoNewPrivs:\t1");
	assert_status(reader.pid, "Seccomp:\t2");
	/* of a group that is the owner's alone, which is looked up in files */
	put_file(path, "part", 0, 0664);
	assert_int_equal(ask_reader(&reader, path, &err), 0);
	put_file(path, "part", 0, 0666);
	assert_int_equal(ask_reader(&reader, path, &err), -EPERM);
	put_file(path, "part", 65534, 0644);
	assert_int_equal(ask_reader(&reader, path, &err), -EPERM);
	assert_int_equal(ask_reader(&reader, folder, &err), -EINVAL);
	assert_int_equal(ask_reader(&reader, "/dev/null", &err), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ask_reader(&reader, path, &err), -ENOENT);
	file_reader_stop(&reader);
	rmdir(folder);
}

static char mine[64]; /* a file of root's */

static void confine_as_reader(void)
{
	struct error err = ERROR_INIT;

	CHECK(file_reader_confine(&err) == 0);
	CHECK(open(mine, O_RDONLY | O_CLOEXEC) >= 0);
	CHECK(open(mine, O_RDWR | O_CLOEXEC) < 0 && errno == EPERM);
	CHECK(open(mine, O_RDONLY | O_TRUNC | O_CLOEXEC) < 0 && errno == EPERM);
	CHECK(open(mine, O_RDONLY | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EPERM);
	CHECK(open("/root", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600) < 0 && errno == EPERM);
	CHECK(unlink(mine) < 0 && errno == EPERM);
	CHECK(chmod(mine, 0600) < 0 && errno == EPERM);
	CHECK(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM);
	CHECK(kill(getpid(), 0) < 0 && errno == EPERM);
	CHECK(fork() < 0 && errno == EPERM);
	CHECK(setresuid(65534, 65534, 65534) < 0 && errno == EPERM);
}

static void test_who_reads_for_others_writes_nothing(void **state)
{
	char path[] = "/root/squall-mine-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	strcpy(mine, path);
	assert_int_equal(run_in_child(confine_as_reader), 0);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root_is_given_up_for_good),
		cmocka_unit_test(test_only_the_wanted_capabilities_stay),
		cmocka_unit_test(test_sudo_user_is_found),
		cmocka_unit_test(test_hostile_sudo_variables_are_refused),
		cmocka_unit_test(test_files_are_opened_with_the_rights_of_the_caller),
		cmocka_unit_test(test_the_reader_of_included_files_can_read_alone),
		cmocka_unit_test(test_who_reads_for_others_writes_nothing),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: giving up root needs root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
