/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a launcher may answer, in messages of any length and order: to the conductor, whose probes
 * wait for their commands, and to worker and guardian, whose faults wait for theirs. An answer is
 * for a run that is under way, and is told once.
 */
/* its handlers are its own business */
#include "tests/fuzz/fuzz_input.h"

#include "injector/probes/launcher.c"  /* NOLINT(bugprone-suspicious-include) */
#include "injector/restore/reloader.c" /* NOLINT(bugprone-suspicious-include) */

#define COMMANDS 4

static unsigned told[COMMANDS];

static void on_result(void *context, const struct launcher_result *result)
{
	unsigned *count = context;

	require(memchr(result->output, '\0', sizeof(result->output)) != NULL);
	require(++*count == 1);
}

/* An answer in few bytes: for which run, its status, how it is cut, and what it printed. */
static size_t put_answer(int socket, uint64_t first_run, const uint8_t *data, size_t size)
{
	struct launcher_reply reply;
	uint8_t bytes[sizeof(reply) + 64] = {0};
	size_t used = 4, length, whole = sizeof(reply);

	if (size < used)
		return size;
	memset(&reply, 0xff, sizeof(reply)); /* no NUL where it is not told */
	reply.run = first_run + (data[0] & 7);
	reply.result.timed_out = data[0] >> 7;
	reply.result.status = (int8_t)data[1] * (1 << (data[2] & 8));
	if (data[2] & 1)
		whole = data[3] * sizeof(bytes) / 255;
	length = size - used < data[3] ? size - used : data[3];
	if (length)
		memcpy(reply.result.output, data + used, length);
	if (data[2] & 2)
		reply.result.output[length] = '\0';
	memcpy(bytes, &reply, sizeof(reply));
	require(send(socket, bytes, whole, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)whole);
	return used + length;
}

static void to_conductor(int near, int far, const uint8_t *data, size_t size)
{
	struct launcher launcher = {.socket = near, .pidfd = -1, .count = COMMANDS};

	for (unsigned i = 0; i < COMMANDS; i++) {
		told[i] = 0;
		launcher.commands[i] =
			(struct command){.run = i + 1, .fn = on_result, .context = &told[i]};
	}
	while (size) {
		size_t used = put_answer(far, 0, data, size);

		data += used;
		size -= used;
		receive(&launcher);
	}
	answer_all_dead(&launcher);
	for (unsigned i = 0; i < COMMANDS; i++)
		require(told[i] == 1);
}

static void to_fault(int near, int far, const uint8_t *data, size_t size)
{
	char program[] = "/bin/true";
	const struct fault_command command = {.number = size % 2, .argv = {program, NULL}};
	const struct errand *errand = &asked.errands[command.number];
	struct error err = ERROR_INIT;

	memset(&asked, 0, sizeof(asked));
	reloader_use(near, NULL, NULL);
	require(fault_command_start(&command, &err) == 0);
	while (size) {
		size_t used = put_answer(far, errand->run - 1, data, size);

		data += used;
		size -= used;
		fault_command_is_over(&command);
		if (!errand->is_over) /* finishing would wait for it */
			continue;
		if (fault_command_finish(&command, &err) < 0) {
			require(err.code > 0);
			require(memchr(err.text, '\0', sizeof(err.text)) != NULL);
		}
		return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2];

	if (!size || size > 2048)
		return 0;
	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	(data[0] & 1 ? to_conductor : to_fault)(pair[0], pair[1], data + 1, size - 1);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
