/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files and folders that others than root and the caller can write: what they say is not done, and
 * the sentence names the file, who could have written it, and what to do. Nothing is changed.
 */
#include "tests/support/squall_runner.h"

#include "injector/base/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define STRANGER 2 /* bin */

static const char *const daemon_user[] = {"SUDO_UID=1", "SUDO_GID=1", NULL};
static const struct squall_how by_daemon = {.extra = daemon_user};

static const char *write_experiment(const struct stage *stage)
{
	stage_write(stage, "mine/part.yaml", "targets: {far: {to: \"10.88.0.2:7001\"}}\n");
	return stage_write(stage, "mine/run.yaml",
			   "version: 1\n"
			   "title: whose\n"
			   "include: part.yaml\n"
			   "allow-idle: true\n"
			   "limits: {duration: 10s, targets: 4}\n"
			   "method: [{at: 0s, for: 100ms, network: {target: far, loss: 1%%}}]\n");
}

/* The words are squall's; "-" begins those of the remedy. */
static void assert_refused(struct stage *stage, const struct squall_how *how, const char *words,
			   const char *why, const char *remedy)
{
	struct squall *squall = squall_start(stage, how, "%s", words);
	cleanup_free char *said = NULL;

	squall_assert_exit(squall, 2);
	said = squall_messages(squall);
	printf("#   %s", strstr(said, "squall: error") ?: said);
	if (!strstr(said, why) || !strstr(said, remedy))
		fail_msg("neither '%s' nor '%s' in: %s", why, remedy, said);
	assert_null(squall_event(squall, "injected"));
}

struct hazard {
	const char *name; /* below the stage's folder */
	uid_t owner;
	gid_t group;
	mode_t mode;
	const char *why, *remedy;
};

static void test_an_experiment_that_others_can_write_is_not_run(void **state)
{
	static const struct hazard hazards[] = {
		{"mine/run.yaml", 0, 0, 0646, "written by others (mode 0646)", "chmod go-w"},
		{"mine/run.yaml", 0, STRANGER, 0664, "written by others", "chmod go-w"},
		{"mine/run.yaml", STRANGER, 0, 0644, "belongs to user 2", "copy it"},
		{"mine/part.yaml", 0, 0, 0646, "written by others", "chmod go-w"},
		{"mine/part.yaml", STRANGER, 0, 0600, "belongs to user 2", "copy it"},
		{"mine", 0, 0, 0757, "written by others", "chmod go-w"},
		{"mine", STRANGER, 0, 0755, "belongs to user 2", "copy it"},
	};
	struct stage *stage = *state;
	char words[256];

	netlab_run("mkdir %s/mine", stage->folder);
	for (unsigned i = 0; i < sizeof(hazards) / sizeof(*hazards); i++) {
		const struct hazard *hazard = &hazards[i];
		const char *path = stage_path(stage, hazard->name);

		snprintf(words, sizeof(words), "%s %s", i % 3 ? "run --json" : "plan",
			 write_experiment(stage));
		assert_int_equal(chown(path, hazard->owner, hazard->group), 0);
		assert_int_equal(chmod(path, hazard->mode), 0);
		assert_refused(stage, NULL, words, hazard->why, hazard->remedy);
		assert_int_equal(chown(path, 0, 0), 0);
		assert_int_equal(chmod(path, i < 5 ? 0644 : 0755), 0);
	}
	/* who called sudo can be believed what he wrote himself, but not what a third one did */
	netlab_run("chown -R 1:1 %s/mine", stage->folder);
	snprintf(words, sizeof(words), "run --json %s/mine/run.yaml", stage->folder);
	assert_int_equal(squall_call(stage, &by_daemon, "%s", words), 0);
	assert_refused(stage, NULL, words, "belongs to user 1", "copy it");
	netlab_run("chown 2 %s/mine/part.yaml", stage->folder);
	assert_refused(stage, &by_daemon, words, "belongs to user 2", "copy it");
	/* a folder like /tmp is no danger */
	netlab_run("chown -R 0:0 %s/mine", stage->folder);
	netlab_run("chmod 1777 %s/mine", stage->folder);
	assert_int_equal(squall_call(stage, NULL, "%s", words), 0);
	stage_assert_clean(stage);
}

static void open_as_input(const struct stage *stage)
{
	int fd = open(stage_path(stage, "mine/whole.yaml"), O_RDONLY | O_CLOEXEC);

	dup2(fd, 0);
}

/* The way out that the remedy names: whoever opens the file has looked at it. */
static void test_an_experiment_on_standard_input_is_run(void **state)
{
	static const struct squall_how how = {.prepare = open_as_input};
	struct stage *stage = *state;

	netlab_run("mkdir %s/mine", stage->folder);
	stage_write(stage, "mine/whole.yaml",
		    "version: 1\n"
		    "title: whose\n"
		    "allow-idle: true\n"
		    "limits: {duration: 10s, targets: 4}\n"
		    "targets: {far: {to: \"10.88.0.2:7001\"}}\n"
		    "method: [{at: 0s, for: 100ms, network: {target: far, loss: 1%%}}]\n");
	netlab_run("chmod 666 %s/mine/whole.yaml", stage->folder);
	assert_int_equal(squall_call(stage, &how, "run --json -"), 0);
	stage_assert_clean(stage);
}

static void test_a_content_that_others_can_write_is_not_put_anywhere(void **state)
{
	struct stage *stage = *state;
	char words[256];

	netlab_run("mkdir %s/mine", stage->folder);
	stage_write(stage, "mine/service.conf", "good\n");
	stage_write(stage, "mine/bad.conf", "bad\n");
	netlab_run("chmod 666 %s/mine/bad.conf", stage->folder);
	snprintf(words, sizeof(words),
		 "inject file path=%s/mine/service.conf content-from=%s/mine/bad.conf for=1s",
		 stage->folder, stage->folder);
	assert_refused(stage, NULL, words, "written by others", "chmod go-w");
	netlab_run("chmod 644 %s/mine/bad.conf", stage->folder);
	assert_int_equal(squall_call(stage, NULL, "%s allow-idle=true", words) == 0, 0);
	stage_assert_clean(stage);
}

/* Journals say what root undoes: nobody else may have had a hand in where they are. */
static void test_state_folders_of_others_are_not_used(void **state)
{
	static const struct {
		const char *make, *why, *remedy, *unmake;
	} bad[] = {
		{"install -d -o 2 %s/%s/squall", "belongs to user 2", "chown root",
		 "rmdir %s/%s/squall"},
		{"install -d -m 777 %s/%s/squall", "written by others", "chmod go-w",
		 "rmdir %s/%s/squall"},
		{"ln -s /tmp %s/%s/squall", "symbolic link", "rm /", "rm %s/%s/squall"},
		{"touch %s/%s/squall", "not a directory", "rm /", "rm %s/%s/squall"},
		{"mkfifo %s/%s/squall", "not a directory", "rm /", "rm %s/%s/squall"},
	};
	static const char *const folders[] = {"run", "lib"};
	struct stage *stage = *state;
	char words[256];

	netlab_run("mkdir %s/mine", stage->folder);
	snprintf(words, sizeof(words), "run --json %s", write_experiment(stage));
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			netlab_run("rm -rf %s/lib/squall", stage->folder);
			netlab_run(bad[i].make, stage->folder, folders[k]);
			assert_refused(stage, NULL, words, bad[i].why, bad[i].remedy);
			netlab_run(bad[i].unmake, stage->folder, folders[k]);
#pragma GCC diagnostic pop
		}
	assert_int_equal(squall_call(stage, NULL, "%s", words), 0);
	stage_assert_clean(stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_experiment_that_others_can_write_is_not_run),
		TEST(test_an_experiment_on_standard_input_is_run),
		TEST(test_a_content_that_others_can_write_is_not_put_anywhere),
		TEST(test_state_folders_of_others_are_not_used),
	};

	return STAGE_RUN(tests);
}
