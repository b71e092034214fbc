/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file fault from plan to undo, in one process: what is put in place, what comes back, and what
 * belongs to others meanwhile. The exchange itself is a stand-in that can fail, be missing, or be
 * the last thing its process does.
 */
#include "faults/file.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <cmocka.h>

#define GOOD "listen 80\nworkers 4\n"

extern const struct fault_ops file_fault;

/* --- the exchange --- */

static int exchange_fails; /* errno; 0: it works */
static enum { LIVE, DIE_BEFORE, DIE_AFTER } exchange_life;

int file_exchange(int directory, const char *a, const char *b)
{
	int result;

	if (exchange_life == DIE_BEFORE)
		_exit(9);
	if (exchange_fails)
		return -exchange_fails;
	result = renameat2(directory, a, directory, b, RENAME_EXCHANGE) < 0 ? -errno : 0;
	if (exchange_life == DIE_AFTER)
		_exit(9);
	return result;
}

/* --- a file, a run, a fault --- */

static char base[64], file[96], plan_text[8192];
static struct params params;
static struct target target;
static struct fault_env env;
static struct fault fault;
static struct error err;

static void write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "we");

	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

static char *read_file(const char *path)
{
	static char text[4096];
	FILE *in = fopen(path, "re");
	size_t got = in ? fread(text, 1, sizeof(text) - 1, in) : 0;

	if (in)
		fclose(in);
	text[got] = '\0';
	return text;
}

static void take_line(void *context, enum plan_kind kind, const char *text)
{
	size_t used = strlen(plan_text);

	(void)context;
	snprintf(plan_text + used, sizeof(plan_text) - used, "%d %s\n", (int)kind, text);
}

static void add(struct params *to, const char *name, const char *value)
{
	int index = params_find(to->table, name);

	assert_true(index >= 0);
	if (params_add(to, (unsigned)index, value, 0, 0, &err) < 0)
		fail_msg("%s", err.text);
}

static void begin_run(void)
{
	struct journal_header header = {.deadline_ns = clock_now_ns() + NSEC_PER_SEC};

	assert_int_equal(journal_new_run_id(header.run_id, &err), 0);
	if (journal_create_kept(&header, &env.journal, &err) < 0)
		fail_msg("%s", err.text);
	env.run_id = strdup(header.run_id);
}

/* "key=value" up to NULL; `path` as in a target. The code of the first refusal. */
static int plan_file(const char *path, const char *const *words)
{
	struct plan plan = {.line = take_line};
	int result;

	err = (struct error)ERROR_INIT;
	plan_text[0] = '\0';
	target = (struct target){.kind = TARGET_FILE, .namespace_fd = -1, .seed = 7};
	assert_int_equal(params_init(&target.params, file_params, &err), 0);
	add(&target.params, "path", path);
	assert_int_equal(params_init(&params, file_fault.params, &err), 0);
	for (; *words; words++) {
		cleanup_free char *word = strdup(*words);
		char *equals = strchr(word, '=');

		*equals = '\0';
		add(strcmp(word, "allow-critical") == 0 ? &target.params : &params, word,
		    equals + 1);
	}
	fault = (struct fault){
		.ops = &file_fault, .params = &params, .target = &target, .env = &env};
	result = target_resolve(&target, 1, NULL, &err);
	if (result == 0)
		result = file_fault.check(&params, &err);
	return result == 0 ? file_fault.plan(&fault, &plan, &err) : result;
}

#define PLAN(path, ...) plan_file(path, (const char *const[]){__VA_ARGS__, NULL})

static void inject(void)
{
	if (file_fault.inject(&fault, &err) < 0)
		fail_msg("%s", err.text);
}

static void drop_fault(void)
{
	file_fault.release(&fault);
	params_free(&params);
	target_free(&target);
}

/* As restore does: newest first, then reads each back; the number of those that are left. */
static unsigned undo_all(char *left, size_t size)
{
	cleanup_free struct journal_record *records = NULL;
	unsigned count = 0, failed = 0;

	left[0] = '\0';
	assert_int_equal(journal_read(env.journal, &records, &count, &err), 0);
	for (unsigned at = count; at-- > 1;)
		if (journal_is_open(records, count, at))
			file_fault.undo(&records[at], NULL);
	for (unsigned at = count; at-- > 1;) {
		bool gone = false;

		if (!journal_is_open(records, count, at))
			continue;
		if (file_fault.verify(&records[at], &gone, left, size, &err) < 0)
			snprintf(left, size, "%.400s", err.text);
		failed += !gone;
	}
	return failed;
}

static void undo_cleanly(void)
{
	char left[512];

	if (undo_all(left, sizeof(left)) != 0)
		fail_msg("left: %s", left);
}

static unsigned count_names(void)
{
	unsigned count = 0;
	DIR *dir = opendir(base);

	for (struct dirent *entry; (entry = readdir(dir));)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			 strcmp(entry->d_name, "state") != 0;
	closedir(dir);
	return count;
}

static int set_up(void **state)
{
	char root[80];

	(void)state;
	exchange_fails = 0;
	exchange_life = LIVE;
	strcpy(base, "/tmp/sqfile-XXXXXX");
	assert_non_null(mkdtemp(base));
	snprintf(root, sizeof(root), "%s/state", base);
	assert_int_equal(mkdir(root, 0755), 0);
	journal_set_root("/nonexistent");
	journal_set_kept_root(strdup(root));
	snprintf(file, sizeof(file), "%s/app.conf", base);
	write_file(file, GOOD);
	begin_run();
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	drop_fault();
	journal_close(env.journal);
	env.journal = NULL;
	snprintf(command, sizeof(command), "exec rm -rf %s", base);
	return system(command);
}

/* --- what comes back --- */

/* Everything but the change time, which no call can set. */
static void describe(const char *path, char *out, size_t size)
{
	char list[1024], value[256];
	struct stat status;
	ssize_t names;
	size_t used;

	assert_int_equal(lstat(path, &status), 0);
	used = (size_t)snprintf(
		out, size, "%lu %o %u:%u %lu %lld links %lu modified %ld.%09ld read %ld.%09ld\n",
		(unsigned long)status.st_ino, status.st_mode, status.st_uid, status.st_gid,
		(unsigned long)status.st_dev, (long long)status.st_size,
		(unsigned long)status.st_nlink, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
		S_ISDIR(status.st_mode) ? 0 : status.st_atim.tv_sec,
		S_ISDIR(status.st_mode) ? 0 : status.st_atim.tv_nsec);
	names = llistxattr(path, list, sizeof(list));
	for (char *name = list; names > 0 && name < list + names; name += strlen(name) + 1) {
		ssize_t got = lgetxattr(path, name, value, sizeof(value));

		used += (size_t)snprintf(out + used, size - used, "%s:", name);
		for (ssize_t at = 0; at < got; at++)
			used += (size_t)snprintf(out + used, size - used, "%02x", value[at] & 255);
		used += (size_t)snprintf(out + used, size - used, "\n");
	}
}

/* user::rw-, user:1234:r--, group::r--, mask::r--, other::--- as the kernel keeps it (acl(5)) */
static bool give_access_list(const char *path)
{
	static const struct {
		uint32_t version;
		struct {
			uint16_t tag, bits;
			uint32_t id;
		} entries[5];
	} list = {2, {{1, 6, -1U}, {2, 4, 1234}, {4, 4, -1U}, {16, 4, -1U}, {32, 0, -1U}}};

	return setxattr(path, "system.posix_acl_access", &list, sizeof(list), 0) == 0;
}

static void dress(const char *path)
{
	const struct timespec old[2] = {{.tv_sec = 1500000000, .tv_nsec = 111},
					{.tv_sec = 1400000000, .tv_nsec = 222}};

	assert_int_equal(chown(path, 1234, 2345), 0);
	assert_int_equal(chmod(path, 0640), 0);
	if (!give_access_list(path) || setxattr(path, "user.note", "kept", 4, 0) < 0)
		print_message("no access lists or attributes in /tmp: %s\n", strerror(errno));
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

static void test_the_original_comes_back_exactly(void **state)
{
	const struct timespec old[2] = {{.tv_sec = 1300000000}, {.tv_sec = 1200000000}};
	char before[2048], after[2048], folder[2048], folder_after[2048];
	struct stat good, bad;

	(void)state;
	dress(file);
	assert_int_equal(utimensat(AT_FDCWD, base, old, 0), 0);
	describe(file, before, sizeof(before));
	describe(base, folder, sizeof(folder));
	assert_int_equal(lstat(file, &good), 0);
	assert_int_equal(PLAN(file, "pattern=^workers [0-9]+$", "with=workers none"), 0);
	assert_string_equal(read_file(file), GOOD);
	utimensat(AT_FDCWD, file, (struct timespec[]){good.st_atim, {.tv_nsec = UTIME_OMIT}}, 0);
	inject();
	assert_string_equal(read_file(file), "listen 80\nworkers none\n");
	/* but for its content and times it looks like the good one */
	assert_int_equal(lstat(file, &bad), 0);
	assert_int_not_equal(bad.st_ino, good.st_ino);
	assert_int_equal(bad.st_mode, good.st_mode);
	assert_int_equal(bad.st_uid, 1234);
	assert_int_equal(bad.st_gid, 2345);
	assert_int_equal(llistxattr(file, NULL, 0) > 0, strstr(before, "user.note") != NULL);
	undo_cleanly();
	describe(file, after, sizeof(after));
	assert_string_equal(after, before);
	describe(base, folder_after, sizeof(folder_after));
	assert_string_equal(folder_after, folder);
	assert_int_equal(count_names(), 1);
	assert_string_equal(read_file(file), GOOD);
}

static void test_undo_twice_is_a_noop(void **state)
{
	char before[2048], after[2048];

	(void)state;
	assert_int_equal(PLAN(file, "truncate=5B"), 0);
	inject();
	assert_string_equal(read_file(file), "liste");
	undo_cleanly();
	describe(file, before, sizeof(before));
	/* what is deployed later is not touched by another restore */
	undo_cleanly();
	describe(file, after, sizeof(after));
	assert_string_equal(after, before);
	write_file(file, "new\n");
	undo_cleanly();
	assert_string_equal(read_file(file), "new\n");
}

static void next_run(void)
{
	undo_cleanly();
	drop_fault();
	journal_close(env.journal);
	assert_int_equal(journal_remove(env.run_id, &err), 0);
	begin_run();
}

static void test_each_way_to_go_bad(void **state)
{
	char other[96];
	struct stat status;

	(void)state;
	snprintf(other, sizeof(other), "%s/bad.conf", base);
	write_file(other, "other\n");
	assert_int_equal(PLAN(file, "content=one", "content=", "content=\ttwo"), 0);
	inject();
	assert_string_equal(read_file(file), "one\n\n\ttwo\n");
	next_run();
	{
		char word[128];

		snprintf(word, sizeof(word), "content-from=%s", other);
		assert_int_equal(PLAN(file, word), 0);
	}
	inject();
	assert_string_equal(read_file(file), "other\n");
	next_run();
	assert_int_equal(PLAN(file, "corrupt-bytes=3", "seed=5"), 0);
	inject();
	assert_int_equal(strlen(read_file(file)) <= strlen(GOOD), 1);
	assert_string_not_equal(read_file(file), GOOD);
	next_run();
	assert_int_equal(PLAN(file, "oversize=1MiB", "mode=0000", "owner=77", "group=88"), 0);
	inject();
	assert_int_equal(stat(file, &status), 0);
	assert_int_equal(status.st_size, 1 << 20);
	assert_int_equal(status.st_mode & 07777, 0);
	assert_int_equal(status.st_uid, 77);
	assert_int_equal(status.st_gid, 88);
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
}

/* What the user may not read does not become readable by way of a copy. */
static void test_content_is_read_as_the_calling_user(void **state)
{
	char secret[96], word[128];

	(void)state;
	assert_int_equal(chmod(base, 0755), 0);
	snprintf(secret, sizeof(secret), "%s/secret", base);
	write_file(secret, "secret\n");
	assert_int_equal(chmod(secret, 0600), 0);
	snprintf(word, sizeof(word), "content-from=%s", secret);
	env.invoking_uid = 65534;
	assert_int_equal(PLAN(file, word), -EACCES);
	assert_non_null(strstr(err.text, "as user 65534"));
	drop_fault();
	assert_int_equal(chmod(secret, 0644), 0);
	assert_int_equal(PLAN(file, word), 0);
	env.invoking_uid = 0;
	/* and the process is root again */
	assert_int_equal(chmod(secret, 0600), 0);
	assert_string_equal(read_file(secret), "secret\n");
}

/* --- others --- */

static void assert_left(const char *words, const char *content)
{
	char left[512], *command;

	assert_int_equal(undo_all(left, sizeof(left)), 1);
	print_message("%s\n", left);
	assert_non_null(strstr(left, words));
	if (content)
		assert_string_equal(read_file(file), content);
	else
		assert_int_equal(access(file, F_OK), -1);
	/* the command that is shown works when typed */
	command = strstr(left, "mv -T ");
	assert_non_null(command);
	assert_int_equal(system(command), 0);
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(count_names(), 1);
}

static void test_an_edit_is_not_overwritten(void **state)
{
	struct evidence seen;
	FILE *out;

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	assert_int_equal(file_fault.evidence(&fault, &seen, &err), 0);
	out = fopen(file, "ae");
	fputs("edited\n", out);
	fclose(out);
	assert_int_equal(file_fault.evidence(&fault, &seen, &err), -ESTALE);
	assert_non_null(strstr(err.text, "was edited by somebody"));
	assert_left("was edited by somebody", "bad\nedited\n");
}

static void test_a_changed_mode_is_an_edit(void **state)
{
	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	assert_int_equal(chmod(file, 0600), 0);
	assert_left("was edited by somebody", "bad\n");
}

static void test_a_replacement_is_not_overwritten(void **state)
{
	char other[96];

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	snprintf(other, sizeof(other), "%s/deployed", base);
	write_file(other, "deployed\n");
	assert_int_equal(rename(other, file), 0);
	assert_left("was replaced by somebody", "deployed\n");
}

static void test_a_removed_file_does_not_come_back_unasked(void **state)
{
	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	assert_int_equal(unlink(file), 0);
	assert_left("was removed by somebody", NULL);
}

static void test_a_lost_original_is_told(void **state)
{
	char left[512], command[160];

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	snprintf(command, sizeof(command), "rm %s/.app.conf.squall-*", base);
	assert_int_equal(system(command), 0);
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	assert_non_null(strstr(left, "the original was removed by somebody"));
	assert_string_equal(read_file(file), "bad\n");
}

static void test_a_change_since_the_plan_is_not_overwritten(void **state)
{
	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	write_file(file, "deployed since\n");
	assert_int_equal(file_fault.inject(&fault, &err), -ESTALE);
	assert_non_null(strstr(err.text, "since the plan"));
	undo_cleanly();
	assert_string_equal(read_file(file), "deployed since\n");
	assert_int_equal(count_names(), 1);
}

static void test_one_fault_at_a_time_on_a_file(void **state)
{
	struct fault first;
	struct params first_params;

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	first = fault;
	first_params = params;
	target_free(&target);
	assert_int_equal(PLAN(file, "content=worse"), -EBUSY);
	assert_non_null(strstr(err.text, "is held by step 1 of run"));
	drop_fault();
	fault = first;
	params = first_params;
	target = (struct target){.namespace_fd = -1};
	undo_cleanly();
}

static void test_an_unmounted_directory_is_not_taken_for_the_right_one(void **state)
{
	char left[512], moved[80];

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	snprintf(moved, sizeof(moved), "%s-away", base);
	/* the state goes along: it is kept open */
	assert_int_equal(rename(base, moved), 0);
	assert_int_equal(mkdir(base, 0755), 0);
	write_file(file, "another\n");
	assert_true(undo_all(left, sizeof(left)) > 0);
	assert_non_null(strstr(left, "is another one now"));
	assert_string_equal(read_file(file), "another\n");
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(base), 0);
	assert_int_equal(rename(moved, base), 0);
	undo_cleanly();
}

/* --- failures and deaths --- */

static void test_a_failed_exchange_leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	exchange_fails = EIO;
	assert_int_equal(file_fault.inject(&fault, &err), -EIO);
	assert_string_equal(read_file(file), GOOD);
	exchange_fails = 0;
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(count_names(), 1);
}

/* On the way back nothing is lost either, and a later try succeeds. */
static void test_a_failed_undo_can_be_tried_again(void **state)
{
	char left[512];

	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	inject();
	exchange_fails = EIO;
	assert_int_equal(undo_all(left, sizeof(left)), 1);
	assert_non_null(strstr(left, "is still the bad version"));
	exchange_fails = 0;
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(count_names(), 1);
}

static void test_a_full_disk_leaves_nothing(void **state)
{
	char folder[80], inner[96];

	(void)state;
	snprintf(folder, sizeof(folder), "%s/small", base);
	snprintf(inner, sizeof(inner), "%s/app.conf", folder);
	assert_int_equal(mkdir(folder, 0755), 0);
	assert_int_equal(mount("small", folder, "tmpfs", 0, "size=64k"), 0);
	write_file(inner, GOOD);
	assert_int_equal(PLAN(inner, "oversize=1MiB"), 0);
	assert_int_equal(file_fault.inject(&fault, &err), -ENOSPC);
	undo_cleanly();
	assert_string_equal(read_file(inner), GOOD);
	assert_int_equal(unlink(inner), 0);
	drop_fault();
	assert_int_equal(umount(folder), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void die_injecting(int life)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		exchange_life = life;
		file_fault.inject(&fault, &err);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 9);
}

static void test_death_before_and_after_the_exchange(void **state)
{
	char before[2048], after[2048];

	(void)state;
	describe(file, before, sizeof(before));
	for (int life = DIE_BEFORE; life <= DIE_AFTER; life++) {
		assert_int_equal(PLAN(file, "content=bad"), 0);
		/* the plan has read it, which may show in its access time */
		describe(file, before, sizeof(before));
		die_injecting(life);
		assert_int_equal(count_names(), 2);
		undo_cleanly();
		describe(file, after, sizeof(after));
		assert_string_equal(after, before);
		assert_int_equal(count_names(), 1);
		next_run();
	}
	assert_int_equal(PLAN(file, "content=bad"), 0);
}

/* File systems without RENAME_EXCHANGE, such as 9p and NFS */
static void test_without_exchange_a_link_keeps_the_original(void **state)
{
	char before[2048], after[2048];

	(void)state;
	dress(file);
	assert_int_equal(PLAN(file, "content=bad"), 0);
	describe(file, before, sizeof(before));
	exchange_fails = EINVAL;
	inject();
	assert_string_equal(read_file(file), "bad\n");
	undo_cleanly();
	describe(file, after, sizeof(after));
	assert_string_equal(after, before);
	assert_int_equal(count_names(), 1);
}

static void test_without_exchange_an_edit_is_kept_too(void **state)
{
	(void)state;
	assert_int_equal(PLAN(file, "content=bad"), 0);
	exchange_fails = EINVAL;
	inject();
	write_file(file, "fixed\n");
	assert_left("was edited by somebody", "fixed\n");
}

/* --- refusals --- */

static void refuse(const char *path, const char *word, int code, const char *words)
{
	int result = PLAN(path, word);

	if (result != code || !strstr(err.text, words))
		fail_msg("%s %s: %d %s", path, word, result, err.text);
	drop_fault();
}

static void test_what_is_no_plain_file_is_refused(void **state)
{
	char link_path[96], folder_link[96], through[128], pipe_path[96];

	(void)state;
	snprintf(link_path, sizeof(link_path), "%s/link", base);
	snprintf(folder_link, sizeof(folder_link), "%s-link", base);
	snprintf(through, sizeof(through), "%s/app.conf", folder_link);
	snprintf(pipe_path, sizeof(pipe_path), "%s/pipe", base);
	assert_int_equal(symlink(file, link_path), 0);
	assert_int_equal(symlink(base, folder_link), 0);
	assert_int_equal(mkfifo(pipe_path, 0600), 0);
	refuse(link_path, "content=x", -ELOOP, "symbolic link");
	refuse(through, "content=x", -ELOOP, "symbolic link");
	assert_int_equal(unlink(folder_link), 0);
	refuse(base, "content=x", -EINVAL, "is a directory");
	refuse(pipe_path, "content=x", -EINVAL, "is a pipe");
	refuse("/dev/null", "content=x", -EPERM, "never touched");
	refuse("/proc/sys/kernel/hostname", "content=x", -EPERM, "never touched");
	refuse("/var/lib/squall/x", "allow-critical=true", -EPERM, "never touched");
	refuse("/etc/passwd", "content=x", -EPERM, "may hang on");
	refuse("/etc/ssh/sshd_config", "content=x", -EPERM, "may hang on");
	refuse("/home/x/.ssh/authorized_keys", "content=x", -EPERM, "may hang on");
	refuse("/etc/../etc/passwd", "content=x", -EINVAL, "plain one");
	refuse("/nonexistent/app.conf", "content=x", -ENOENT, "cannot open the directory");
	snprintf(through, sizeof(through), "%s/missing", base);
	refuse(through, "content=x", -ENOENT, "there is no file");
	assert_int_equal(PLAN(file, "content=x"), 0);
}

static void test_a_protected_file_is_refused(void **state)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), flags = 0;

	(void)state;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0) {
		print_message("no flags on this file system\n");
	} else {
		flags |= FS_IMMUTABLE_FL;
		assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
		refuse(file, "content=x", -EPERM, "immutable");
		flags &= ~FS_IMMUTABLE_FL;
		assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
	}
	close(fd);
	assert_int_equal(mount(file, file, NULL, MS_BIND, NULL), 0);
	refuse(file, "content=x", -EBUSY, "is a mount of its own");
	assert_int_equal(umount(file), 0);
	assert_int_equal(PLAN(file, "content=x"), 0);
}

static void test_another_name_of_the_file_stays_good(void **state)
{
	char other[96];

	(void)state;
	snprintf(other, sizeof(other), "%s/other-name", base);
	assert_int_equal(link(file, other), 0);
	assert_int_equal(PLAN(file, "content=bad"), 0);
	assert_non_null(strstr(plan_text, "it has 2 names: only this one is affected"));
	inject();
	assert_string_equal(read_file(other), GOOD);
	undo_cleanly();
	assert_string_equal(read_file(file), GOOD);
	assert_int_equal(count_names(), 2);
}

static void test_a_long_path_is_kept_beside_the_journal(void **state)
{
	char path[1200], name[201];

	(void)state;
	memset(name, 'd', 200);
	name[200] = '\0';
	strcpy(path, base);
	for (unsigned i = 0; i < 4; i++) {
		sprintf(path + strlen(path), "/%s", name);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	sprintf(path + strlen(path), "/%.190s.conf", name);
	write_file(path, GOOD);
	/* a value of an experiment is at most PARAM_TEXT_MAX long: the parts below it are asked */
	{
		cleanup_free struct file_swap *swap = calloc(1, sizeof(*swap));
		struct file_place place = FILE_PLACE_INIT;
		struct file_content content = {.bytes = strdup("bad\n"), .size = 4, .grow_to = 4};
		cleanup_fd int fd = -1, copy = -1;

		content.mode = 0644;
		memcpy(swap->record.run_id, env.run_id, RUN_ID_SIZE);
		swap->record.boot_crc = file_boot_crc();
		swap->path = swap->text;
		swap->reload_by = stpcpy(swap->text, path) + 1;
		assert_int_equal(file_place_open(path, &place, &err), 0);
		swap->record.directory = place.directory_id;
		assert_int_equal(
			file_place_open_file(&place, true, &fd, &swap->record.original, &err), 0);
		if (file_swap_inject(swap, &place, fd, &content, env.journal, &copy, &err) < 0)
			fail_msg("%s", err.text);
		assert_int_equal(swap->record.is_beside, 1);
		assert_string_equal(read_file(path), "bad\n");
		file_place_close(&place);
		file_content_free(&content);
	}
	undo_cleanly();
	assert_string_equal(read_file(path), GOOD);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_the_original_comes_back_exactly),
		TEST(test_undo_twice_is_a_noop),
		TEST(test_each_way_to_go_bad),
		TEST(test_content_is_read_as_the_calling_user),
		TEST(test_an_edit_is_not_overwritten),
		TEST(test_a_changed_mode_is_an_edit),
		TEST(test_a_replacement_is_not_overwritten),
		TEST(test_a_removed_file_does_not_come_back_unasked),
		TEST(test_a_lost_original_is_told),
		TEST(test_a_change_since_the_plan_is_not_overwritten),
		TEST(test_one_fault_at_a_time_on_a_file),
		TEST(test_an_unmounted_directory_is_not_taken_for_the_right_one),
		TEST(test_a_failed_exchange_leaves_nothing),
		TEST(test_a_failed_undo_can_be_tried_again),
		TEST(test_a_full_disk_leaves_nothing),
		TEST(test_death_before_and_after_the_exchange),
		TEST(test_without_exchange_a_link_keeps_the_original),
		TEST(test_without_exchange_an_edit_is_kept_too),
		TEST(test_what_is_no_plain_file_is_refused),
		TEST(test_a_protected_file_is_refused),
		TEST(test_another_name_of_the_file_stays_good),
		TEST(test_a_long_path_is_kept_beside_the_journal),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return getenv("SQUALL_MUST_RUN") ? 1 : 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
