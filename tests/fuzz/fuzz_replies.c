/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The other direction of the privilege boundary: messages of any length to the conductor's
 * receiver. What it accepts is whole, known and terminated; a descriptor that comes along is never
 * lost.
 */
#include "tests/fuzz/fuzz_input.h"

#include "injector/run/requests.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reply sent, got;
	int pair[2], fd, result;
	size_t length;

	if (size < 2 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	memset(&sent, data[0], sizeof(sent));
	length = size - 2 < sizeof(sent) ? size - 2 : sizeof(sent);
	memcpy(&sent, data + 2, length);
	if (data[1] & 1) /* whole, and maybe with a descriptor; else as long as the input is */
		require(reply_send(pair[0], &sent, data[1] & 2 ? pair[0] : -1, 0) == 0);
	else if (send(pair[0], &sent, length, MSG_NOSIGNAL) < 0)
		abort();
	result = reply_receive(pair[1], &got, &fd, NULL);
	if (result == 1) {
		require(got.type < REPLY_COUNT && (data[1] & 1 || length == sizeof(got)));
		require(strlen(got.name) < sizeof(got.name) &&
			strlen(got.text) < sizeof(got.text) &&
			strlen(got.remedy) < sizeof(got.remedy));
	}
	require((fd >= 0) == ((data[1] & 3) == 3));
	if (fd >= 0)
		close(fd);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
