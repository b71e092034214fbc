/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/restore/reloader.h"

#include "injector/base/clock.h"
#include "injector/base/printable.h"
#include "injector/journal/crc32.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define TICK_NS (250 * NSEC_PER_MSEC)
#define MARGIN_NS                                                                                  \
	(2 * NSEC_PER_SEC) /* the reloader keeps the time; should it be stopped just then */

/* The last run of one command. */
struct errand {
	uint64_t run; /* 0: never started, or an end that was well and has been told */
	bool is_over;
	int code; /* once it is over: positive errno, 0: well */
	char program[120];
	char text[400];
};

static int reloader_socket = -1;

/* Large, and so without initial values: data is read in by every process at its start. */
static struct {
	void (*tick)(void *context);
	void *context;
	struct errand errands[FAULT_COMMANDS_MAX];
} asked;

int reloader_start(const struct fault_command *commands, unsigned count, struct launcher **out,
		   struct error *err)
{
	struct launcher *launcher = NULL;
	int result = launcher_new_apart(commands[0].uid, commands[0].gid, &launcher, err);

	for (unsigned i = 0; result == 0 && i < count; i++) {
		result = launcher_add_tool(launcher, commands[i].argv, err);
		result = result < 0 ? result : 0;
	}
	if (result == 0)
		result = launcher_seal(launcher, NULL, err);
	if (result < 0)
		launcher_free(launcher);
	else
		*out = launcher;
	return result;
}

/* ---- By asking ---- */

/* The first line of what it printed. */
static void quote(const struct launcher_result *result, char *out, size_t size)
{
	int length = (int)strcspn(result->output, "\n");

	snprintf(out, size, "%s%.*s", length ? ": " : "", length < 200 ? length : 200,
		 result->output);
	printable_clean(out, false);
}

static int judge(const char *program, const struct launcher_result *result, struct error *err)
{
	char said[240];

	if (result->status == -1)
		return error_set(err, ENOEXEC, "%.300s", result->output);
	if (result->timed_out)
		return error_set(err, ETIMEDOUT, "%.200s was killed after %d s", program,
				 (int)(FAULT_COMMAND_TIMEOUT_NS / NSEC_PER_SEC));
	quote(result, said, sizeof(said));
	if (WIFSIGNALED(result->status))
		return error_set(err, EREMOTEIO, "%.100s was killed by signal %d%s", program,
				 WTERMSIG(result->status), said);
	if (WEXITSTATUS(result->status))
		return error_set(err, EREMOTEIO, "%.100s exited with status %d%s", program,
				 WEXITSTATUS(result->status), said);
	return 0;
}

static void note(struct errand *errand, int code, const char *text)
{
	errand->is_over = true;
	errand->code = code;
	snprintf(errand->text, sizeof(errand->text), "%.399s", text);
}

/* Every answer there is until then: for whichever command it is. -ESRCH: it has died. */
static int hear(const struct fault_command *command, int64_t until_ns)
{
	struct errand *errand = &asked.errands[command->number];

	/* at most as many as could be due, whoever sends: until_ns counts only for waiting */
	for (unsigned at = 0; !errand->is_over && at < 2 * FAULT_COMMANDS_MAX; at++) {
		struct launcher_result result;
		struct error err = ERROR_INIT;
		uint64_t run;
		int heard = launcher_hear(reloader_socket, until_ns, &run, &result);

		if (heard <= 0)
			return heard;
		for (unsigned i = 0; i < FAULT_COMMANDS_MAX; i++)
			if (asked.errands[i].run == run && !asked.errands[i].is_over) {
				judge(asked.errands[i].program, &result, &err);
				note(&asked.errands[i], err.code, err.text);
			}
	}
	return 0;
}

/* Worker and guardian ask the same reloader: no name is used twice. */
static uint64_t name_run(void)
{
	static uint64_t last;
	uint64_t now = (uint64_t)clock_now_ns();

	last = now > last ? now : last + 1;
	return last;
}

static int ask(const struct fault_command *command, struct error *err)
{
	struct errand *errand = &asked.errands[command->number];
	int result;

	if (errand->run && !errand->is_over)
		launcher_withdraw(reloader_socket, errand->run);
	*errand = (struct errand){.run = name_run()};
	snprintf(errand->program, sizeof(errand->program), "%s", command->argv[0]);
	result = launcher_post(reloader_socket, command->number, errand->run,
			       FAULT_COMMAND_TIMEOUT_NS, err);
	if (result < 0)
		note(errand, -result, "the process that starts it is gone");
	return result;
}

static bool is_answered(const struct fault_command *command)
{
	return hear(command, 0) < 0 || asked.errands[command->number].is_over ||
	       !asked.errands[command->number].run;
}

static int await(const struct fault_command *command, struct error *err)
{
	struct errand *errand = &asked.errands[command->number];
	int64_t until_ns = clock_now_ns() + FAULT_COMMAND_TIMEOUT_NS + MARGIN_NS, now_ns;
	int result = errand->run ? 0 : ask(command, err);

	while (result == 0 && !errand->is_over && (now_ns = clock_now_ns()) < until_ns) {
		if (asked.tick)
			asked.tick(asked.context);
		result = hear(command, now_ns + TICK_NS);
	}
	if (!errand->is_over)
		note(errand, result < 0 ? -result : ETIMEDOUT,
		     result < 0 ? "the process that starts it was killed"
				: "the process that starts it does not answer");
	if (errand->code)
		return error_set(err, errand->code, "%s", errand->text);
	errand->run = 0;
	return 0;
}

static const struct fault_commander asking = {
	.start = ask, .is_over = is_answered, .finish = await};

void reloader_use(int socket, void (*tick)(void *context), void *context)
{
	reloader_socket = socket;
	asked.tick = tick;
	asked.context = context;
	fault_command_use(&asking);
}

/* ---- By a process of its own ---- */

/* Restoring looks at a record twice when it was not undone: a failure is remembered. */
static uint32_t failed_mark;
static struct error failure;

static uint32_t mark_of(const struct fault_command *command)
{
	uint32_t mark = command->uid + 1;

	for (char *const *at = command->argv; *at; at++)
		mark = mark * 31 + crc32_of(*at, strlen(*at) + 1);
	return mark;
}

static int run_alone(const struct fault_command *command, struct error *err)
{
	struct fault_command only = *command;
	struct launcher *launcher = NULL;
	struct error inner = ERROR_INIT;
	int result;

	if (failed_mark != mark_of(command)) {
		failure = (struct error)ERROR_INIT;
		only.number = 0;
		result = reloader_start(&only, 1, &launcher, &inner);
		if (result == 0) {
			asked.errands[0] = (struct errand){.run = 0};
			reloader_socket = launcher_socket(launcher);
			result = await(&only, &inner);
			reloader_socket = -1;
			launcher_free(launcher);
		}
		if (result == 0)
			return 0;
		failure = inner;
		failed_mark = mark_of(command);
	}
	return error_set(err, failure.code, "%s", failure.text);
}

/* finish() does it. */
static int begin_alone(const struct fault_command *command, struct error *err)
{
	(void)command, (void)err;
	failed_mark = 0;
	return 0;
}

static bool is_always_over(const struct fault_command *command)
{
	(void)command;
	return true;
}

static const struct fault_commander alone = {
	.start = begin_alone, .is_over = is_always_over, .finish = run_alone};

void reloader_use_own(void)
{
	if (reloader_socket < 0)
		fault_command_use(&alone);
}
