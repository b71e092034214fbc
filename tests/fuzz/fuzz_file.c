/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A file that goes bad: any content, patched by any pattern that is accepted, corrupted with any
 * seed. And who opens files for a conductor: messages of any length to it, and its answers.
 */
/* its parts are its own business */
#include "tests/fuzz/fuzz_input.h"

#include "injector/kernel/file_reader.c" /* NOLINT(bugprone-suspicious-include) */

#include "faults/file.h"
#include "injector/base/pattern.h"

#include <stdlib.h>

static size_t longest; /* path that was to be opened */

/* Nothing of this machine is opened. */
int sandbox_open_as_caller(const char *path, int flags, struct error *err)
{
	longest = strlen(path) > longest ? strlen(path) : longest;
	require(flags & O_CLOEXEC && flags & O_NONBLOCK);
	return error_set(err, ENOENT, "cannot open %s", path);
}

/* What stands before the next zero byte; at most `most`. */
static size_t take_text(const uint8_t **data, size_t *size, char *out, size_t most)
{
	const uint8_t *end = memchr(*data, '\0', *size);
	size_t length = end ? (size_t)(end - *data) : *size;
	size_t used = length + (end != NULL);

	snprintf(out, most, "%.*s", (int)length, (const char *)*data);
	*data += used;
	*size -= used;
	return length;
}

static struct file_content make(const uint8_t *data, size_t size)
{
	/* exactly as long as it is promised to be: reading beyond is seen */
	struct file_content content = {.bytes = malloc(size + 1), .size = size};

	require(content.bytes != NULL);
	memcpy(content.bytes, data, size);
	return content;
}

static void replace(const uint8_t *data, size_t size)
{
	char pattern[64], with[64];
	struct file_content content;
	struct error err = ERROR_INIT;

	take_text(&data, &size, pattern, sizeof(pattern));
	take_text(&data, &size, with, sizeof(with));
	if (pattern_check(pattern, NULL) < 0)
		return; /* as the experiment's reader says */
	content = make(data, size);
	if (file_edit_replace(pattern, with, &content, &err) == 0) {
		require(content.size != size || memcmp(content.bytes, data, size) != 0);
		require(content.words[0] && strlen(content.words) < sizeof(content.words));
	} else {
		/* nothing was changed */
		require(err.code && content.size == size && memcmp(content.bytes, data, size) == 0);
	}
	file_content_free(&content);
}

static void corrupt(const uint8_t *data, size_t size)
{
	struct file_content first, second;
	uint64_t seed = 0, count = 0, differ = 0;

	if (size < 9)
		return;
	memcpy(&seed, data, sizeof(seed));
	count = data[8];
	data += 9;
	size -= 9;
	first = make(data, size);
	second = make(data, size);
	file_edit_corrupt(count, seed, &first);
	file_edit_corrupt(count, seed, &second);
	require(size == 0 || memcmp(first.bytes, second.bytes, size) == 0);
	for (size_t at = 0; at < size; at++)
		differ += (uint8_t)first.bytes[at] != data[at];
	require(differ == (count < size ? count : size)); /* as many as asked, not one more */
	file_content_free(&first);
	file_content_free(&second);
}

/* A conductor's requests. */
static void ask(const uint8_t *data, size_t size)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	longest = 0;
	for (unsigned asked = 0; size > 3 && asked < 20; asked++) {
		static uint8_t message[2 * PATH_MAX];
		size_t length = (data[0] | (size_t)data[1] << 8) % sizeof(message);
		size_t filled = data[2] < size - 3 ? data[2] : size - 3;

		memset(message, 'a', sizeof(message));
		memcpy(message, data + 3, filled);
		data += 3 + filled;
		size -= 3 + filled;
		if (send(pair[0], message, length, MSG_DONTWAIT) < 0)
			break;
	}
	shutdown(pair[0], SHUT_WR);
	serve(pair[1], NULL);
	require(longest <= PATH_MAX);
	close(pair[0]);
	close(pair[1]);
}

/* A reader's answers. */
static void hear(const uint8_t *data, size_t size)
{
	struct answer answer;
	struct file_reader reader;
	struct error err = ERROR_INIT;
	bool is_whole = data[0] & 1, has_fd = data[0] & 2;
	int pair[2], fd;

	memset(&answer, data[0], sizeof(answer));
	data++;
	size--;
	memcpy(&answer, data, size < sizeof(answer) ? size : sizeof(answer));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	reader = (struct file_reader){.pid = 1, .socket = pair[0]};
	if (is_whole || size > sizeof(answer))
		size = sizeof(answer);
	require(descriptor_send(pair[1], &answer, size, has_fd ? pair[1] : -1, 0) == 0);
	shutdown(pair[1], SHUT_WR);
	fd = file_reader_open(&reader, "/etc/experiment.yaml", &err);
	require(fd >= 0 ? has_fd && answer.code == 0 && size == sizeof(answer) : err.code > 0);
	require(strlen(err.text) < sizeof(err.text) && strlen(err.remedy) < sizeof(err.remedy));
	if (fd >= 0)
		close(fd);
	close(pair[0]);
	close(pair[1]);
	fd = dup(STDIN_FILENO);
	require(fd == pair[0]); /* no descriptor is lost */
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[])(const uint8_t *data, size_t size) = {replace, corrupt, ask,
									  hear};

	if (size < 2)
		return 0;
	parts[data[0] & 3](data + 1, size - 1);
	return 0;
}
