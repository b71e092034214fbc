/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One file fault from its target to its undo, in one process, with a journal of its own. The
 * exchange is a stand-in that can fail, be missing, or be the last thing its process does. To be
 * included by one test program each.
 */
#ifndef SQUALL_TESTS_FILE_BENCH_H
#define SQUALL_TESTS_FILE_BENCH_H

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
static void (*exchange_meets)(void); /* what others do in that moment */

int file_exchange(int directory, const char *a, const char *b)
{
	int result;

	if (exchange_life == DIE_BEFORE)
		_exit(9);
	if (exchange_fails)
		return -exchange_fails;
	if (exchange_meets)
		exchange_meets();
	result = renameat2(directory, a, directory, b, RENAME_EXCHANGE) < 0 ? -errno : 0;
	if (exchange_life == DIE_AFTER)
		_exit(9);
	return result;
}

/* --- a file, a run, a fault --- */

static char base[64], file[96], plan_text[8192];
static char plan_inside[32]; /* "pid:N": the mount namespace */
static struct params params;
static struct target target;
static struct fault_env env;
static struct fault fault;
static struct error err;

static inline void write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "we");

	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

static inline char *read_file(const char *path)
{
	static char text[4096];
	FILE *in = fopen(path, "re");
	size_t got = in ? fread(text, 1, sizeof(text) - 1, in) : 0;

	if (in)
		fclose(in);
	text[got] = '\0';
	return text;
}

static inline void take_line(void *context, enum plan_kind kind, const char *text)
{
	size_t used = strlen(plan_text);

	(void)context;
	snprintf(plan_text + used, sizeof(plan_text) - used, "%d %s\n", (int)kind, text);
}

static inline void add(struct params *to, const char *name, const char *value)
{
	int index = params_find(to->table, name);

	assert_true(index >= 0);
	if (params_add(to, (unsigned)index, value, 0, 0, &err) < 0)
		fail_msg("%s", err.text);
}

static inline void begin_run(void)
{
	static char run_id[RUN_ID_SIZE];
	struct journal_header header = {.deadline_ns = clock_now_ns() + NSEC_PER_SEC};

	assert_int_equal(journal_new_run_id(header.run_id, &err), 0);
	if (journal_create_kept(&header, &env.journal, &err) < 0)
		fail_msg("%s", err.text);
	memcpy(run_id, header.run_id, sizeof(run_id));
	env.run_id = run_id;
}

/* "key=value" up to NULL; `path` as in a target. The code of the first refusal. */
static inline int plan_file(const char *path, const char *const *words)
{
	struct plan plan = {.line = take_line};
	int result;

	err = (struct error)ERROR_INIT;
	plan_text[0] = '\0';
	target = (struct target){.kind = TARGET_FILE, .namespace_fd = -1, .seed = 7};
	assert_int_equal(params_init(&target.params, file_params, &err), 0);
	add(&target.params, "path", path);
	if (plan_inside[0])
		add(&target.params, "namespace", plan_inside);
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

static inline void inject(void)
{
	if (file_fault.inject(&fault, &err) < 0)
		fail_msg("%s", err.text);
}

static inline void drop_fault(void)
{
	file_fault.release(&fault);
	params_free(&params);
	target_free(&target);
}

/* Reads each back; the number of those that are left. */
static inline unsigned verify_all(char *left, size_t size)
{
	cleanup_free struct journal_record *records = NULL;
	unsigned count = 0, failed = 0;

	left[0] = '\0';
	assert_int_equal(journal_read(env.journal, &records, &count, &err), 0);
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

/* As restore does: newest first, then reads each back. */
static inline unsigned undo_all(char *left, size_t size)
{
	cleanup_free struct journal_record *records = NULL;
	unsigned count = 0;

	assert_int_equal(journal_read(env.journal, &records, &count, &err), 0);
	for (unsigned at = count; at-- > 1;)
		if (journal_is_open(records, count, at))
			file_fault.undo(&records[at], NULL);
	return verify_all(left, size);
}

static inline void undo_cleanly(void)
{
	char left[512];

	if (undo_all(left, sizeof(left)) != 0)
		fail_msg("left: %s", left);
}

static inline unsigned count_names(void)
{
	unsigned count = 0;
	DIR *dir = opendir(base);

	for (struct dirent *entry; (entry = readdir(dir));)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			 strcmp(entry->d_name, "state") != 0;
	closedir(dir);
	return count;
}

static inline int set_up(void **state)
{
	static char root[80]; /* the journal keeps the pointer */

	(void)state;
	exchange_fails = 0;
	exchange_life = LIVE;
	exchange_meets = NULL;
	strcpy(base, "/tmp/sqfile-XXXXXX");
	assert_non_null(mkdtemp(base));
	snprintf(root, sizeof(root), "%s/state", base);
	assert_int_equal(mkdir(root, 0755), 0);
	journal_set_root("/nonexistent");
	journal_set_kept_root(root);
	snprintf(file, sizeof(file), "%s/app.conf", base);
	write_file(file, GOOD);
	begin_run();
	return 0;
}

static inline int tear_down(void **state)
{
	char command[128];

	(void)state;
	drop_fault();
	journal_close(env.journal);
	env.journal = NULL;
	snprintf(command, sizeof(command), "exec rm -rf %s", base);
	return system(command);
}

/* Everything but the change time, which no call can set. */
static inline void describe(const char *path, char *out, size_t size)
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
static inline bool give_access_list(const char *path)
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

static inline void dress(const char *path)
{
	const struct timespec old[2] = {{.tv_sec = 1500000000, .tv_nsec = 111},
					{.tv_sec = 1400000000, .tv_nsec = 222}};

	assert_int_equal(chown(path, 1234, 2345), 0);
	assert_int_equal(chmod(path, 0640), 0);
	/* a tmpfs of an older kernel knows no user.* */
	if (!give_access_list(path) || (setxattr(path, "user.note", "kept", 4, 0) < 0 &&
					setxattr(path, "trusted.note", "kept", 4, 0) < 0)) {
		print_message("skipped: no access lists or attributes in /tmp: %s\n",
			      strerror(errno));
		skip();
	}
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

static inline void next_run(void)
{
	undo_cleanly();
	drop_fault();
	journal_close(env.journal);
	assert_int_equal(journal_remove(env.run_id, &err), 0);
	begin_run();
}

/* Skips, loudly, without root. */
static inline int without_root(void)
{
	fprintf(stderr, "skipped: needs root\n");
	return getenv("SQUALL_MUST_RUN") ? 1 : 77;
}

#define RUN_AS_ROOT(tests)                                                                         \
	(geteuid() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : without_root())

#endif
