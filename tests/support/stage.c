/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/squall_runner.h"

#include "tests/support/children.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static int64_t measure_slack(const struct stage *stage);

/* One for all tests of a program: making namespaces takes seconds on an emulated machine. A test
 * that has left or changed something gets a new one made for the next. */
static struct stage *shared;

static void make_shared(void)
{
	shared = calloc(1, sizeof(*shared));
	assert_non_null(shared);
	assert_int_equal(netlab_setup((void **)&shared->lab), 0);
	snprintf(shared->folder, sizeof(shared->folder), "/tmp/sqee-XXXXXX");
	assert_non_null(mkdtemp(shared->folder));
	assert_int_equal(chmod(shared->folder, 0755), 0);
	netlab_run("mkdir -p -m 755 %s/run/netns %s/lib", shared->folder, shared->folder);
	shared->before = stage_state(shared, false);
	shared->slack_ns = measure_slack(shared);
}

static void drop_shared(void)
{
	if (!shared)
		return;
	netlab_teardown((void **)&shared->lab);
	netlab_try("rm -r %s", shared->folder);
	free(shared->before);
	free(shared);
	shared = NULL;
}

int stage_setup(void **state)
{
	if (!shared)
		make_shared();
	shared->is_clean = false;
	*state = shared;
	return 0;
}

/* Whatever is still there after a failed test: reaped if it ended, else its own deadline ends it.
 */
static void reap_all(void)
{
	for (unsigned i = 0; i < 100; i++) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0)
			return;
		if (pid == 0)
			pause_ms(10);
	}
}

int stage_teardown(void **state)
{
	struct stage *stage = *state;

	for (unsigned i = 0; i < STAGE_MEMBERS; i++) {
		if (stage->runs[i])
			squall_free(stage->runs[i]);
		if (stage->children[i])
			child_stop(stage->children[i]);
		stage->runs[i] = NULL;
		stage->children[i] = 0;
	}
	reap_all();
	if (!stage->is_clean) {
		cleanup_free char *after = stage_state(stage, false);

		stage->is_spent |= strcmp(after, stage->before) != 0;
	}
	if (stage->is_spent)
		drop_shared();
	if (shared)
		netlab_run("find %s -mindepth 1 -maxdepth 1 ! -name run ! -name lib -exec rm -r {} "
			   "+",
			   shared->folder);
	return 0;
}

int stage_run(const char *name, const struct CMUnitTest *tests, size_t count)
{
	int failed;

	/* the worker of a killed conductor becomes our child and can be reaped */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	children_init();
	setvbuf(stdout, NULL, _IOLBF, 0);
	failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
	drop_shared();
	return failed;
}

pid_t stage_child(struct stage *stage)
{
	for (unsigned i = 0; i < STAGE_MEMBERS; i++)
		if (!stage->children[i])
			return stage->children[i] = child_start(CHILD_COUNTS, NULL);
	fail_msg("too many children");
	return -1;
}

void stage_skip(const char *why)
{
	const char *must = getenv("SQUALL_MUST_RUN");

	printf("%s\n", why);
	if (must && strcmp(must, "1") == 0)
		fail_msg("skipped, but must run: %s", why);
	skip();
}

const char *stage_path(const struct stage *stage, const char *name)
{
	static char paths[8][128];
	static unsigned at;
	char *path = paths[at++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", stage->folder, name);
	return path;
}

const char *stage_write(const struct stage *stage, const char *name, const char *format, ...)
{
	const char *path = stage_path(stage, name);
	FILE *file = fopen(path, "we");
	va_list args;

	assert_non_null(file);
	va_start(args, format);
	vfprintf(file, format, args);
	va_end(args);
	assert_int_equal(fclose(file), 0);
	/* a script must be executable by the user on whose behalf squall runs */
	assert_int_equal(chmod(path, 0755), 0);
	return path;
}

void stage_drop_flows(char *text)
{
	static const char flow[] = "class fq_codel ";
	char *to = text;

	for (char *line = text, *next; *line; line = next) {
		next = strchrnul(line, '\n');
		next += *next == '\n';
		if (strncmp(line, flow, strlen(flow)) == 0)
			continue;
		memmove(to, line, (size_t)(next - line));
		to += next - line;
	}
	*to = '\0';
}

char *stage_state(const struct stage *stage, bool with_results)
{
	cleanup_free char *network = netlab_dump(stage->lab);
	cleanup_free char *run =
		netlab_output("find %s/run -path *netns -prune -o -print", stage->folder);
	cleanup_free char *lib =
		with_results ? netlab_output("find %s/lib", stage->folder)
			     : netlab_output("find %s/lib -path */squall -prune -o -print",
					     stage->folder);
	char *all;

	stage_drop_flows(network);
	assert_true(asprintf(&all, "%s== /run\n%s== /var/lib\n%s", network, run, lib) > 0);
	return all;
}

static int count_processes(pid_t pid, void *context)
{
	struct proc_stat stat;
	unsigned *count = context;

	if (proc_read_stat(pid, &stat) == 0 && stat.parent == getpid() &&
	    strncmp(stat.comm, "squall", 6) == 0 && !stat.is_dead) {
		printf("still there: %d %s\n", pid, stat.comm);
		(*count)++;
	}
	return 0;
}

void stage_assert_clean(struct stage *stage)
{
	cleanup_free char *after = stage_state(stage, false);
	unsigned count = 0;

	assert_string_equal(after, stage->before);
	proc_each(count_processes, &count);
	assert_int_equal(count, 0);
	stage->is_clean = true;
}

void stage_await_finished(const struct stage *stage)
{
	int64_t until_ns = clock_now_ns() + (is_emulated() ? 6 : 1) * NSEC_PER_SEC;

	while (access(stage_path(stage, "run/squall"), F_OK) == 0) {
		if (clock_now_ns() > until_ns)
			fail_msg("a run is still in /run/squall");
		pause_ms(5);
	}
}

/* ---- Measuring ---- */

/* What a round trip takes at its slowest while nothing is injected. */
static int64_t measure_slack(const struct stage *stage)
{
	int64_t slowest = 0;

	for (unsigned i = 0; i < 5; i++) {
		int64_t took = netlab_round_trip(stage->lab, "10.88.0.3", NETLAB_PORT, 2000);

		slowest = took > slowest ? took : slowest;
	}
	return slowest + (is_emulated() ? 150 * NSEC_PER_MSEC : 0);
}

void stage_assert_fast(const struct stage *stage, const char *address, uint16_t port)
{
	/* what is slow by itself is so now and then, what is delayed always */
	int64_t took = netlab_fastest(stage->lab, address, port, is_emulated() ? 12 : 3);

	if (took < 0 || took > 45 * NSEC_PER_MSEC)
		fail_msg("%s port %u should not be delayed, but took %.3f ms", address, port,
			 (double)took / 1e6);
}

void stage_assert_delay(const struct stage *stage, const char *address, uint16_t port, int64_t ms)
{
	int64_t took = netlab_fastest(stage->lab, address, port, 4);
	int64_t most = (ms + 10) * NSEC_PER_MSEC + stage->slack_ns;

	printf("# %s port %u: %.3f ms\n", address, port, (double)took / 1e6);
	if (took < ms * NSEC_PER_MSEC || took > most)
		fail_msg("%s port %u should take %lld ms (at most %.3f), but took %.3f", address,
			 port, (long long)ms, (double)most / 1e6, (double)took / 1e6);
}

int64_t stage_until_fast(const struct stage *stage, const char *address, uint16_t port,
			 int64_t most_ms)
{
	int64_t start_ns = clock_now_ns(), until_ns = start_ns + most_ms * NSEC_PER_MSEC;

	for (;;) {
		int64_t asked_ns = clock_now_ns();
		int64_t took = netlab_round_trip(stage->lab, address, port, 45);

		if (took >= 0)
			return (asked_ns - start_ns) / NSEC_PER_MSEC;
		if (asked_ns > until_ns)
			fail_msg("%s port %u is not as fast as before within %lld ms", address,
				 port, (long long)most_ms);
	}
}

json_t *stage_result(const struct stage *stage, const char *run_id)
{
	char name[64];
	json_error_t error;
	json_t *result;

	snprintf(name, sizeof(name), "lib/squall/results/%s.json", run_id);
	result = json_load_file(stage_path(stage, name), 0, &error);
	if (!result)
		fail_msg("%s: line %d: %s", name, error.line, error.text);
	return result;
}
