/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall in which the N-th allocation fails, N being SQUALL_TEST_ALLOCATION: its own, and those of
 * the libraries it is linked with statically. Linked with --wrap. That it came to this is left as
 * the file /run/allocation-failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long left = -1; /* -1: not read yet, 0: over */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static int is_to_fail(void)
{
	if (left < 0) {
		const char *text = getenv("SQUALL_TEST_ALLOCATION");

		left = text ? strtol(text, NULL, 10) : 0;
	}
	if (left == 0 || --left > 0)
		return 0;
	close(open("/run/allocation-failed", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	errno = ENOMEM;
	return 1;
}

void *__wrap_malloc(size_t size)
{
	return is_to_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return is_to_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return is_to_fail() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return is_to_fail() ? NULL : __real_strdup(text);
}
