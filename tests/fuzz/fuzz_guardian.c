/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What worker and guardian say to each other, in messages of any length and order. The guardian
 * takes on a run only after it is confined, with a deadline and a journal, and once; the worker
 * takes nothing for "ready" that is not.
 */
/* its handlers are its own business */
#include "tests/fuzz/fuzz_input.h"

#include "injector/restore/guardian_process.c" /* NOLINT(bugprone-suspicious-include) */

#include "injector/journal/runs.h"

#include <stdlib.h>
#include <unistd.h>

static unsigned confined;
static bool can_confine;

/* Instead of the real ones: this process goes on. */
int sandbox_keep_capabilities(uint64_t keep, struct error *err)
{
	require((keep & GUARDIAN_CAPABILITIES) == GUARDIAN_CAPABILITIES);
	return can_confine ? 0 : error_set(err, EPERM, "no");
}

int sandbox_guardian(uint64_t capabilities, struct error *err)
{
	(void)capabilities, (void)err;
	confined++;
	return 0;
}

bool journal_exists(const char *run_id)
{
	return runs_is_id(run_id);
}

/* A message in few bytes: which, how long, and what is in it. */
static size_t read_message(const uint8_t *data, size_t size, uint8_t out[1024], size_t *out_length)
{
	struct guardian_message message = {0};
	size_t used = 2, length;

	memset(out, 0, 1024);
	if (size < used)
		return size;
	message.kind = data[0] & 7;
	length = data[1] & 0x3f;
	length = length < size - used ? length : size - used;
	if (length)
		memcpy((uint8_t *)&message + offsetof(struct guardian_message, run_id), data + used,
		       length < sizeof(message) - 4 ? length : sizeof(message) - 4);
	memcpy(out, &message, sizeof(message));
	*out_length = data[1] & 0x40 ? sizeof(message) : (size_t)data[1] + (data[0] >> 3);
	return used + length;
}

static void to_guardian(int near, int far, const uint8_t *data, size_t size)
{
	struct watch watch = {.socket = far, .worker = -1};
	char run_id[RUN_ID_SIZE] = "";

	confined = 0;
	watch.timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	while (size && !watch.has_ended && watch.socket >= 0) {
		uint8_t message[1024];
		size_t length = 0, used = read_message(data, size, message, &length);

		data += used;
		size -= used;
		require(send(near, message, length, MSG_DONTWAIT) == (ssize_t)length);
		drain_socket(&watch);
		patience_ms(&watch);
		/* its answers must not fill the socket */
		while (recv(near, message, sizeof(message), MSG_DONTWAIT) > 0)
			;
		require(confined <= 1 && (!watch.run_id[0] || confined));
		require(!watch.run_id[0] || runs_is_id(watch.run_id));
		require(!run_id[0] || strcmp(run_id, watch.run_id) == 0);
		memcpy(run_id, watch.run_id, sizeof(run_id));
	}
	close(watch.timer);
}

static void to_worker(int near, int far, const uint8_t *data, size_t size)
{
	struct guardian guardian;
	struct guardian_reply reply = {0};
	struct error err = ERROR_INIT;
	bool is_hello = data[0] & 2, has_fd = data[0] & 4;
	size_t length = is_hello && data[0] & 8 ? sizeof(struct guardian_hello)
			: data[0] & 16		? sizeof(reply)
						: size - 1;
	int result;

	memcpy(&reply, data + 1, size - 1 < sizeof(reply) ? size - 1 : sizeof(reply));
	if (length > sizeof(reply))
		length = sizeof(reply);
	require(descriptor_send(far, &reply, length, has_fd ? near : -1, MSG_DONTWAIT) == 0);
	shutdown(far, SHUT_WR); /* nothing else comes: nobody waits */
	guardian_await(&guardian, near);
	result = is_hello ? guardian_meet(&guardian, &err) : guardian_ready(&guardian, &err);
	require(result <= 0 && (result < 0) == (err.code > 0));
	require(strlen(err.text) < sizeof(err.text));
	if (result == 0 && is_hello)
		require(guardian.pid > 0 && guardian.pidfd >= 0 &&
			length == sizeof(struct guardian_hello));
	else if (result == 0)
		require(length == sizeof(reply) && reply.code == 0);
	else
		require(guardian.pidfd < 0);
	if (guardian.pidfd >= 0)
		close(guardian.pidfd);
}

static int lowest_free(void)
{
	int fd = dup(STDIN_FILENO);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2], lowest = lowest_free();

	if (size < 2 || guardian_sockets(pair, NULL) < 0)
		return 0;
	can_confine = data[0] & 2;
	if (data[0] & 1)
		to_guardian(pair[0], pair[1], data + 1, size - 1);
	else
		to_worker(pair[0], pair[1], data, size);
	close(pair[0]);
	close(pair[1]);
	require(lowest_free() == lowest); /* no descriptor is lost */
	return 0;
}
