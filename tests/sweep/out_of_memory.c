/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall in which the N-th allocation fails: its own, those of libc on its behalf, and those of the
 * libraries it is linked with statically. Linked with --wrap. SQUALL_TEST_ALLOCATION says which:
 *
 *   N            of the command, from its beginning
 *   worker:N     of the worker, from the moment it begins to end something
 *   guardian:N   of the guardian, from the moment it restores
 *
 * With "+" behind N every later one of that process fails, too.
 *
 * What came of it is in a file that both sides map, see out_of_memory.h.
 */
#include "tests/sweep/out_of_memory.h"

#include "injector/restore/restore.h"
#include "injector/run/worker_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum whose { WHOSE_UNKNOWN, WHOSE_NOBODY, WHOSE_COMMAND, WHOSE_WORKER, WHOSE_GUARDIAN };

static enum whose whose; /* of whom allocations fail */
static unsigned long wanted;
static int is_for_good, is_counting, is_guardian;
static struct allocations *seen;

/* The names are the linker's */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__real_fdopen(int fd, const char *mode);
FILE *__real_open_memstream(char **text, size_t *size);
DIR *__real_opendir(const char *path);
DIR *__real_fdopendir(int fd);
ssize_t __real___getdelim(char **line, size_t *size, int delimiter, FILE *stream);
int __real_restore_locked(const char *run_id, struct restore_report *report, struct error *err);
int __real_restore_records(struct journal *journal, int step, struct restore_report *report,
			   struct error *err);
int __real_worker_on_end(struct worker *worker, const struct request *request, struct error *err);
void __real_worker_cut_steps(struct worker *worker);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fdopen(int fd, const char *mode);
FILE *__wrap_open_memstream(char **text, size_t *size);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_fdopendir(int fd);
ssize_t __wrap___getdelim(char **line, size_t *size, int delimiter, FILE *stream);
int __wrap___vasprintf_chk(char **out, int flag, const char *format, va_list args);
int __wrap___asprintf_chk(char **out, int flag, const char *format, ...);
int __wrap_vasprintf(char **out, const char *format, va_list args);
int __wrap_asprintf(char **out, const char *format, ...);
int __wrap_restore_locked(const char *run_id, struct restore_report *report, struct error *err);
int __wrap_restore_records(struct journal *journal, int step, struct restore_report *report,
			   struct error *err);
int __wrap_worker_on_end(struct worker *worker, const struct request *request, struct error *err);
void __wrap_worker_cut_steps(struct worker *worker);

/* Before any process of squall is born. */
static void find_out(void)
{
	const char *text = getenv("SQUALL_TEST_ALLOCATION");
	int fd = text ? open(ALLOCATIONS, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

	whose = WHOSE_NOBODY;
	if (fd < 0 || ftruncate(fd, sizeof(*seen)) < 0)
		return;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (seen == MAP_FAILED)
		return;
	whose = strncmp(text, "worker:", 7) == 0     ? WHOSE_WORKER
		: strncmp(text, "guardian:", 9) == 0 ? WHOSE_GUARDIAN
						     : WHOSE_COMMAND;
	wanted = strtoul(strchr(text, ':') ? strchr(text, ':') + 1 : text, NULL, 10);
	is_for_good = strchr(text, '+') != NULL;
	is_counting = whose == WHOSE_COMMAND;
}

static int is_to_fail(void)
{
	if (whose == WHOSE_UNKNOWN)
		find_out();
	if (!is_counting || (seen->has_failed && !is_for_good) || ++seen->count < wanted)
		return 0;
	seen->has_failed = 1;
	errno = ENOMEM;
	return 1;
}

/* ---- From when on ---- */

static void begin(enum whose role)
{
	is_counting |= whose == role;
}

int __wrap_restore_locked(const char *run_id, struct restore_report *report, struct error *err)
{
	is_guardian = 1;
	begin(WHOSE_GUARDIAN);
	return __real_restore_locked(run_id, report, err);
}

int __wrap_restore_records(struct journal *journal, int step, struct restore_report *report,
			   struct error *err)
{
	if (!is_guardian)
		begin(WHOSE_WORKER);
	return __real_restore_records(journal, step, report, err);
}

int __wrap_worker_on_end(struct worker *worker, const struct request *request, struct error *err)
{
	begin(WHOSE_WORKER);
	return __real_worker_on_end(worker, request, err);
}

void __wrap_worker_cut_steps(struct worker *worker)
{
	begin(WHOSE_WORKER);
	__real_worker_cut_steps(worker);
}

/* ---- What fails ---- */

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

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return is_to_fail() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text)
{
	return is_to_fail() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
	return is_to_fail() ? NULL : __real_strndup(text, size);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
	return is_to_fail() ? NULL : __real_fopen(path, mode);
}

FILE *__wrap_fdopen(int fd, const char *mode)
{
	return is_to_fail() ? NULL : __real_fdopen(fd, mode);
}

FILE *__wrap_open_memstream(char **text, size_t *size)
{
	return is_to_fail() ? NULL : __real_open_memstream(text, size);
}

DIR *__wrap_opendir(const char *path)
{
	return is_to_fail() ? NULL : __real_opendir(path);
}

DIR *__wrap_fdopendir(int fd)
{
	return is_to_fail() ? NULL : __real_fdopendir(fd);
}

/* It takes memory for the first line, and for one that is longer than those before. */
ssize_t __wrap___getdelim(char **line, size_t *size, int delimiter, FILE *stream)
{
	return is_to_fail() ? -1 : __real___getdelim(line, size, delimiter, stream);
}

int __wrap_vasprintf(char **out, const char *format, va_list args)
{
	va_list copy;
	int length;

	va_copy(copy, args);
	length = vsnprintf(NULL, 0, format, copy);
	va_end(copy);
	*out = length < 0 || is_to_fail() ? NULL : __real_malloc((size_t)length + 1);
	return *out ? vsnprintf(*out, (size_t)length + 1, format, args) : -1;
}

int __wrap___vasprintf_chk(char **out, int flag, const char *format, va_list args)
{
	(void)flag;
	return __wrap_vasprintf(out, format, args);
}

int __wrap_asprintf(char **out, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = __wrap_vasprintf(out, format, args);
	va_end(args);
	return length;
}

int __wrap___asprintf_chk(char **out, int flag, const char *format, ...)
{
	va_list args;
	int length;

	(void)flag;
	va_start(args, format);
	length = __wrap_vasprintf(out, format, args);
	va_end(args);
	return length;
}
