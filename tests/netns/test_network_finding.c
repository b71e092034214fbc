/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is kept about the kernel is believed only while it can be true and only from root's own
 * file. Needs root: the directory must be trusted all the way.
 */
#include "faults/network_finding.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

static char base[64], state_directory[96], file[160], modules[256], module[128];

static const struct network_support without_netem = {.has_hook = true,
						     .has_ifb = true,
						     .lacks_netem_for_good = true,
						     .netem_reason = "a reason"};

static void make_directories(const char *path)
{
	char part[256];

	for (const char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
		if (mkdir(part, 0755) < 0)
			assert_int_equal(errno, EEXIST);
	}
}

static void write_file(const char *path, const char *text)
{
	FILE *out;

	make_directories(path);
	out = fopen(path, "we");
	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

static int set_up(void **state)
{
	struct utsname kernel;

	(void)state;
	snprintf(base, sizeof(base), "/tmp/squall-finding-XXXXXX");
	if (!mkdtemp(base) || uname(&kernel) < 0)
		return -1;
	snprintf(state_directory, sizeof(state_directory), "%s/state", base);
	snprintf(file, sizeof(file), "%s/" NETWORK_FINDING_FILE, state_directory);
	snprintf(modules, sizeof(modules), "%s/lib/modules/%.64s/modules.dep", base,
		 kernel.release);
	snprintf(module, sizeof(module), "%s/sys/module/sch_netem/refcnt", base);
	network_finding_set_paths(state_directory, base);
	write_file(modules, "kernel/net/one.ko:\n");
	network_finding_keep(&without_netem);
	return access(file, F_OK);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static bool is_believed(void)
{
	struct network_support found = {0};

	return network_finding_recall(&found);
}

static void test_what_was_kept_is_recalled(void **state)
{
	struct network_support found = {0};
	struct stat status;

	(void)state;
	assert_true(network_finding_recall(&found));
	assert_true(found.has_hook && found.has_ifb && !found.has_netem);
	assert_string_equal(found.netem_reason, "a reason");
	assert_int_equal(stat(file, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	network_finding_forget();
	assert_false(is_believed());
}

static void test_a_finding_is_replaced_by_a_newer_one(void **state)
{
	const struct network_support with = {.has_hook = true, .has_ifb = true, .has_netem = true};
	struct network_support found = {0};

	(void)state;
	network_finding_keep(&with);
	assert_true(network_finding_recall(&found) && found.has_netem);
}

static void test_a_lack_of_privileges_is_not_kept(void **state)
{
	struct network_support found = without_netem;

	(void)state;
	found.lacks_netem_for_good = false; /* EPERM says nothing about the kernel */
	network_finding_keep(&found);
	assert_false(is_believed());
	network_finding_keep(&without_netem);
	found = (struct network_support){.has_netem = true}; /* no hook */
	network_finding_keep(&found);
	assert_false(is_believed());
}

static void test_new_modules_end_a_finding_without_netem(void **state)
{
	(void)state;
	write_file(modules, "kernel/net/one.ko:\nkernel/net/sched/sch_netem.ko:\n");
	assert_false(is_believed());
	assert_int_equal(access(file, F_OK), -1);
	network_finding_keep(&without_netem);
	assert_true(is_believed());
	write_file(module, "0\n"); /* loaded by hand */
	assert_false(is_believed());
}

static void test_every_changed_byte_is_noticed(void **state)
{
	struct stat status;
	int fd = open(file, O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(fstat(fd, &status), 0);
	for (off_t at = 0; at < status.st_size; at++) {
		unsigned char byte, other;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		other = byte ^ 0x20;
		assert_int_equal(pwrite(fd, &other, 1, at), 1);
		if (is_believed())
			fail_msg("byte %ld may be anything", (long)at);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_true(is_believed());
	assert_int_equal(ftruncate(fd, status.st_size - 1), 0);
	assert_false(is_believed());
	close(fd);
}

static void test_only_roots_own_file_is_believed(void **state)
{
	char other[192];

	(void)state;
	assert_int_equal(chmod(file, 0640), 0);
	assert_false(is_believed());
	assert_int_equal(chmod(file, 0600), 0);
	assert_true(is_believed());
	assert_int_equal(chown(file, 1, 0), 0);
	assert_false(is_believed());
	assert_int_equal(chown(file, 0, 0), 0);
	snprintf(other, sizeof(other), "%s.other", file);
	assert_int_equal(link(file, other), 0); /* somebody may hold it open elsewhere */
	assert_false(is_believed());
	assert_int_equal(unlink(file), 0);
	assert_int_equal(symlink(other, file), 0);
	assert_false(is_believed());
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rename(other, file), 0);
	assert_true(is_believed());
	assert_int_equal(chmod(state_directory, 0777), 0);
	assert_false(is_believed());
	assert_int_equal(chmod(state_directory, 0755), 0);
}

static void test_no_directory_is_no_error(void **state)
{
	(void)state;
	network_finding_set_paths("/proc/nowhere", base);
	network_finding_keep(&without_netem);
	assert_false(is_believed());
	network_finding_forget();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_what_was_kept_is_recalled),
		TEST(test_a_finding_is_replaced_by_a_newer_one),
		TEST(test_a_lack_of_privileges_is_not_kept),
		TEST(test_new_modules_end_a_finding_without_netem),
		TEST(test_every_changed_byte_is_noticed),
		TEST(test_only_roots_own_file_is_believed),
		TEST(test_no_directory_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
