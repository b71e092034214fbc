/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whatever the service manager, or who sits at its socket, answers: a reload has taken place only
 * when a return says so, and what an error says may be printed.
 */
/* its parts are its own business */
#include "tests/fuzz/fuzz_input.h"

#include "injector/kernel/systemd.c" /* NOLINT(bugprone-suspicious-include) */

#include <stdlib.h>
#include <unistd.h>

/* Is one of the whole messages in there a return? */
static bool has_return(const uint8_t *data, size_t size)
{
	struct fixed_header header;

	while (size >= sizeof(header)) {
		memcpy(&header, data, sizeof(header));
		if (header.type == METHOD_RETURN)
			return true;
		size_t length = sizeof(header) + (((size_t)header.fields_size + 7) & ~(size_t)7) +
				header.body_size;

		if (header.type == METHOD_ERROR || length > size)
			return false;
		data += length;
		size -= length;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	const uint8_t *answer = data + 1;
	size_t left = size - 1;
	struct talk talk = {.until_ns = INT64_MAX};
	int pair[2], result = 0;

	if (size < 1 || size > 60000 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	talk.fd = pair[0];
	require(send(pair[1], answer, left, MSG_DONTWAIT) == (ssize_t)left);
	shutdown(pair[1], SHUT_WR); /* nothing else comes: nobody waits */
	if (data[0] & 1) {
		const uint8_t *end = memchr(answer, '\n', left < 127 ? left : 127);

		result = authenticate(&talk);
		require(result < 0 || (end && memcmp(answer, "OK", 2) == 0));
		if (result == 0) { /* exactly the line was taken */
			left -= (size_t)(end + 1 - answer);
			answer = end + 1;
		}
	}
	if (result == 0) {
		char text[200] = "", name[SYSTEMD_NAME_SIZE];

		/* to a reload, or to a question, whose answer is the path of a unit */
		result = await_answer(&talk, "nginx.service", data[0] & 2 ? text : NULL,
				      sizeof(text), &err);
		require(memchr(text, '\0', sizeof(text)) != NULL);
		if (result == 0 && decode(text, name))
			require(name[0] && memchr(name, '\0', sizeof(name)));
		require(result < 0 ? err.code > 0 : has_return(answer, left));
		for (const char *at = err.text; *at; at++)
			require((unsigned char)*at >= ' ' && (unsigned char)*at < 0x7f);
	}
	close(pair[0]);
	close(pair[1]);
	return 0;
}
