/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What tells an edit that shows neither in size nor times: the content, and the extended attributes
 * of a file that people set, its access list, and what begins with "user.". Not those that the
 * kernel and its security modules write by themselves (IMA signs a file when it is closed, an
 * overlay notes where it came from): such a file would look edited.
 */
#include "faults/file_place.h"

#include "injector/base/cleanup.h"
#include "injector/journal/crc32.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ATTRIBUTE_MAX 65536 /* XATTR_SIZE_MAX, XATTR_LIST_MAX */

/* As large as they can be, and not from the heap: an edit must not be overlooked for want of
 * memory. Used by one thread only. */
static char names[ATTRIBUTE_MAX], text[XATTR_NAME_MAX + 1 + ATTRIBUTE_MAX];

static bool is_set_by_people(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strcmp(name, "system.posix_acl_access") == 0;
}

/* As it will be next time, too: without such attributes, without /proc, or without the right */
static bool is_lasting(int code)
{
	return code == EOPNOTSUPP || code == ENOSYS || code == ENOENT || code == EACCES ||
	       code == EPERM || code == E2BIG || code == ERANGE;
}

static int not_read(int code, uint32_t *out)
{
	if (!is_lasting(code))
		return -code;
	*out = 0;
	return 0;
}

int file_attributes_of(int directory, const char *name, uint32_t *out)
{
	char path[32 + NAME_MAX];
	uint32_t sum = 1; /* of nothing: not 0, which stands for what is not known */
	ssize_t size;

	/* there is no lgetxattrat(2) before Linux 6.13 */
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%.255s", directory, name);
	size = llistxattr(path, names, sizeof(names));
	if (size < 0)
		return not_read(errno, out);
	for (const char *at = names; at < names + size; at += strlen(at) + 1) {
		size_t length = strlen(at) + 1;
		ssize_t value;

		if (!is_set_by_people(at) || length > XATTR_NAME_MAX + 1)
			continue;
		memcpy(text, at, length);
		value = lgetxattr(path, at, text + length, ATTRIBUTE_MAX);
		if (value < 0 && errno != ENODATA)
			return not_read(errno, out);
		/* a sum: their order is the file system's affair */
		if (value >= 0)
			sum += crc32_of(text, length + (size_t)value);
	}
	*out = sum ? sum : 1;
	return 0;
}

uint32_t file_content_of(int fd, uint64_t size)
{
	cleanup_free char *bytes = size <= FILE_SUM_MAX ? malloc((size_t)size + 1) : NULL;
	size_t used = 0;
	uint32_t sum;

	while (bytes && used < size) {
		ssize_t got = pread(fd, bytes + used, (size_t)size - used, (off_t)used);

		if (got <= 0)
			return 0;
		used += (size_t)got;
	}
	sum = bytes ? crc32_of(bytes, used) : 0;
	return bytes && !sum ? 1 : sum;
}
