/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kinds process and pressure, on real processes, on the machine's own figures, and over fake
 * ones.
 */
#include "tests/support/children.h"

#include "injector/kernel/proc.h"
#include "injector/probes/pressure.h"
#include "tests/support/probe_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* process ------------------------------------------------------------------------- */

/* NULL: it ends. */
static bool become_named(void *context)
{
	const char *name = context;
	char script[64];

	if (!name)
		return false;
	snprintf(script, sizeof(script), "printf %s > /proc/$$/comm; kill -STOP $$", name);
	return execl("/bin/sh", "sh", "-c", script, "marker-of-the-test", NULL) == 0;
}

static void test_process_lives_and_dies(void **state)
{
	char name[] = "squall-probe-a", comm[64] = "", pid_key[32],
	     pidfile[] = "/tmp/squall-pidfile-XXXXXX", pidfile_key[64];
	pid_t pid = child_start_program(become_named, name);
	int fd = mkstemp(pidfile);

	(void)state;
	for (unsigned i = 0; i < 100 && strcmp(comm, "squall-probe-a") != 0; i++) {
		usleep(10000);
		proc_read_comm(pid, comm, sizeof(comm));
	}
	dprintf(fd, "%d\n", pid);
	snprintf(pid_key, sizeof(pid_key), "pid=%d", pid);
	snprintf(pidfile_key, sizeof(pidfile_key), "pidfile=%s", pidfile);
	expect_sample("process", "squall-probe-a", KEYS(NULL), PROBE_PASS, " lives");
	expect_sample("process", "squall-probe-a", KEYS("expect.alive=false"), PROBE_FAIL,
		      "lives, expected none");
	assert_true(expect_sample("process", "squall-probe-a", KEYS("expect.count=1"), PROBE_PASS,
				  "1 process") == 1);
	expect_sample("process", "squall-probe-a", KEYS("expect.count=>= 2"), PROBE_FAIL,
		      "1 processes, expected >= 2");
	expect_sample("process", "squall-probe-a", KEYS(pid_key), PROBE_PASS, "");
	expect_sample("process", "other", KEYS(pid_key), PROBE_FAIL, "no 'other' process lives");
	expect_sample("process", "*", KEYS(pidfile_key), PROBE_PASS, "");
	expect_sample("process", "*", KEYS("command=marker-of-the-tes[t]$"), PROBE_PASS, "");
	expect_sample("process", "squall-probe-a", KEYS("command=something-else"), PROBE_FAIL, "");
	expect_sample("process", "squall-probe-a", KEYS("user=65533"), PROBE_FAIL, "");
	end_process(pid);
	expect_sample("process", "squall-probe-a", KEYS(NULL), PROBE_FAIL,
		      "no 'squall-probe-a' process lives");
	expect_sample("process", "squall-probe-a", KEYS("expect.alive=false"), PROBE_PASS, "");
	expect_sample("process", "*", KEYS(pidfile_key), PROBE_FAIL, "no such process lives");
	assert_int_equal(ftruncate(fd, 0), 0);
	expect_sample("process", "*", KEYS(pidfile_key), PROBE_UNKNOWN, "holds no process number");
	unlink(pidfile);
	close(fd);
	expect_sample("process", "*", KEYS(pidfile_key), PROBE_FAIL, "no such process lives");
}

static void test_process_that_is_a_zombie_does_not_live(void **state)
{
	pid_t pid = child_start_program(become_named, NULL);
	char key[32];

	(void)state;
	usleep(50000);
	assert_int_equal(kill(pid, 0), 0); /* there it is */
	snprintf(key, sizeof(key), "pid=%d", pid);
	expect_sample("process", "*", KEYS(key), PROBE_FAIL, "no such process lives");
	waitpid(pid, NULL, 0);
}

/* Probes with a pattern would see the squall that runs them. */
static void test_process_leaves_its_own_run_out(void **state)
{
	(void)state;
	expect_sample("process", "*", KEYS("command=test_probe[s]"), PROBE_FAIL, "no such process");
}

static void write_file(const char *directory, int pid, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%d", directory, pid);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%d/%s", directory, pid, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void remove_file(const char *directory, int pid, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%d/%s", directory, pid, name);
	unlink(path);
	snprintf(path, sizeof(path), "%s/%d", directory, pid);
	rmdir(path);
}

/* hidepid: everything but our own is missing, and "none lives" would be a lie. */
static void test_process_is_unknown_when_proc_hides_others(void **state)
{
	char root[] = "/tmp/squall-proc-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(root));
	proc_set_root(root);
	expect_sample("process", "nginx", KEYS(NULL), PROBE_UNKNOWN, "hides the processes");
	expect_sample("process", "nginx", KEYS("expect.count=0"), PROBE_UNKNOWN,
		      "hides the processes");
	write_file(root, 1, "comm", "init\n");
	expect_sample("process", "nginx", KEYS(NULL), PROBE_FAIL, "no 'nginx' process lives");
	expect_sample("process", "nginx", KEYS("expect.count=0"), PROBE_PASS, "0 processes");
	remove_file(root, 1, "comm");
	proc_set_root(NULL);
	rmdir(root);
}

static void test_process_check(void **state)
{
	(void)state;
	expect_checked("process", "nginx", KEYS(NULL), NULL);
	expect_checked("process", "*", KEYS(NULL), "means every process");
	expect_checked("process", "a-very-long-process-name", KEYS(NULL),
		       "write 'a-very-long-pro'");
	expect_checked("process", "x", KEYS("pid=1", "pidfile=/run/x"), "exclude each other");
}

/* pressure ------------------------------------------------------------------------ */

static void test_pressure_text(void **state)
{
	static const char text[] = "some avg10=1.50 avg60=2.25 avg300=100.00 total=81\n"
				   "full avg10=0.50 avg60=0.00 avg300=3.00 total=0\n";
	double figures[PRESSURE_FIGURES];
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(pressure_parse(text, figures, &err), 0);
	assert_true(figures[SOME_AVG10] == 1.5 && figures[SOME_AVG300] == 100 &&
		    figures[FULL_AVG10] == 0.5 && figures[FULL_AVG300] == 3);
	assert_int_equal(
		pressure_parse("some avg10=1.50 avg60=2.25 avg300=0.00 total=81\n", figures, &err),
		0);
	assert_true(isnan(figures[FULL_AVG10]));
	assert_int_equal(pressure_parse("", figures, &err), -EINVAL);
	assert_int_equal(pressure_parse("some avg10=x", figures, &err), -EINVAL);
	assert_int_equal(pressure_parse("none avg10=1", figures, &err), -EINVAL);
	assert_int_equal(
		pressure_parse("full avg10=0.50 avg60=0.00 avg300=3.00 total=0\n", figures, &err),
		-EINVAL);
}

static bool is_pressure_measured(void)
{
	char text[8];
	int fd = open("/proc/pressure/cpu", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (fd >= 0)
		close(fd);
	return length > 0;
}

static void test_pressure_of_this_machine(void **state)
{
	const char *all = "expect.some-avg10=<= 100";
	double value;

	(void)state;
	if (!is_pressure_measured()) {
		expect_sample("pressure", "cpu", KEYS(all), PROBE_UNKNOWN, "boot with psi=1");
		return;
	}
	value = expect_sample("pressure", "cpu", KEYS(all), PROBE_PASS, "some-avg10 ");
	assert_true(value >= 0 && value <= 100);
	expect_sample("pressure", "memory", KEYS("expect.full-avg300=<= 100"), PROBE_PASS,
		      "full-avg300 ");
	expect_sample("pressure", "io", KEYS("expect.some-avg60=> 100"), PROBE_FAIL,
		      "%, expected > 100");
	expect_sample("pressure", "io", KEYS(all, "expect.full-avg60=> 100"), PROBE_FAIL,
		      "full-avg60 ");
	expect_sample("pressure", "cpu", KEYS(all, "cgroup=no/such.slice"), PROBE_UNKNOWN,
		      "no such cgroup");
}

/* Pressure that is really there: more work than processors, until the figure moves. */
static void test_pressure_rises_under_load(void **state)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN), workers = 2 * processors + 2;
	struct fixture *fixture = fixture_new();
	struct error err = ERROR_INIT;
	pid_t pids[256];

	(void)state;
	if (!is_pressure_measured())
		fixture_skip("the kernel does not measure pressure (boot with psi=1)");
	workers = workers < 256 ? workers : 256;
	for (long i = 0; i < workers; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (volatile uint64_t work = 0;; work++)
				;
		}
	}
	fixture_add(fixture, "pressure", "cpu", &err, "every=100ms", "expect.some-avg10=< 3", NULL);
	for (unsigned i = 0; i < 60; i++)
		if (fixture_once(fixture)->result == PROBE_FAIL)
			break;
		else
			usleep(100000);
	for (long i = 0; i < workers; i++)
		end_process(pids[i]);
	assert_int_equal(fixture->samples[fixture->sample_count - 1].sample.result, PROBE_FAIL);
	fixture_free(fixture);
}

static void test_pressure_check(void **state)
{
	const char *some = "expect.some-avg10=< 60";

	(void)state;
	expect_checked("pressure", "cpu", KEYS(some), NULL);
	expect_checked("pressure", "cpu", KEYS(NULL), "nothing is expected");
	expect_checked("pressure", "disk", KEYS(some), "must be cpu, memory or io");
	expect_checked("pressure", "io", KEYS(some, "cgroup=system.slice/a.service"), NULL);
	expect_checked("pressure", "io", KEYS(some, "cgroup=/system.slice"), NULL);
	expect_checked("pressure", "io", KEYS(some, "cgroup=../../proc"), "without . and ..");
	expect_checked("pressure", "io", KEYS(some, "cgroup=a/.."), "without . and ..");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_process_lives_and_dies),
		cmocka_unit_test(test_process_that_is_a_zombie_does_not_live),
		cmocka_unit_test(test_process_leaves_its_own_run_out),
		cmocka_unit_test(test_process_is_unknown_when_proc_hides_others),
		cmocka_unit_test(test_process_check),
		cmocka_unit_test(test_pressure_text),
		cmocka_unit_test(test_pressure_of_this_machine),
		cmocka_unit_test(test_pressure_rises_under_load),
		cmocka_unit_test(test_pressure_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
