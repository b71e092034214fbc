/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of interfaces: whoever dies leaves nothing at those that came in mid-run either.
 */
#include "tests/netns/follow_bench.h"

#include <dirent.h>
#include <unistd.h>

/* The highest descriptor of a process whose link has the word in it. */
static int highest_descriptor(pid_t pid, const char *word)
{
	char path[64];
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int highest = -1;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char link[128];
		ssize_t length = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		if (length <= 0)
			continue;
		link[length] = '\0';
		if (strstr(link, word) && atoi(entry->d_name) > highest)
			highest = atoi(entry->d_name);
	}
	return highest;
}

static void kill_and_look(struct stage *stage, const char *const *extra, bool is_everybody)
{
	const struct squall_how how = {.extra = extra};
	struct squall *squall = squall_start(
		stage, &how,
		"inject --json network interface=sqv* follow=true direction=both delay=%dms "
		"for=10m",
		DELAY_MS / 2);
	int tap, owner;

	squall_await_injected(squall);
	add_pair(stage, "sqv2", 2);
	squall_await_followed(squall, 1, true, "sqv2");
	assert_delayed(stage, "10.88.2.2");
	/* the kernel lets go of the highest first: not of what packets still come to */
	tap = highest_descriptor(squall->worker, "/dev/net/tun");
	owner = highest_descriptor(squall->worker, extra[1] ? "bpf-map" : "socket:");
	printf("# taps up to %d, their owner %d\n", tap, owner);
	assert_true(owner > tap);
	if (is_everybody) {
		kill(squall->guardian, SIGSTOP);
		kill(squall->worker, SIGSTOP);
		kill(squall->pid, SIGSTOP);
		kill(squall->guardian, SIGKILL);
		kill(squall->pid, SIGKILL);
	}
	kill(squall->worker, SIGKILL);
	await_undelayed(stage, "10.88.2.2");
	assert_undelayed(stage, "10.88.2.2");
	squall_assert_exit(squall, is_everybody ? 128 + SIGKILL : 4);
	assert_true(process_await_gone(squall->worker, SOON_MS));
	assert_true(process_await_gone(squall->guardian, SOON_MS));
	if (is_everybody)
		assert_int_equal(squall_call(stage, NULL, "restore"), 0);
	stage_await_finished(stage);
	assert_bare(stage, "sqv2");
	delete_link(stage, "sqv2");
	stage_assert_clean(stage);
}

static void test_whoever_dies_leaves_nothing(void **state)
{
	kill_and_look(*state, ways[0], false);
	kill_and_look(*state, ways[1], true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_whoever_dies_leaves_nothing),
	};

	return STAGE_RUN(tests);
}
