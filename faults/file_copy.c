/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The copy that takes the place of a file: with its owner, mode, attributes and access lists, but
 * for what the experiment says. It is on the disk before it is used: after a loss of power it must
 * still be recognized.
 */
#include "faults/file.h"

#include "injector/base/alive.h"
#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define BLOCK_BYTES   65536
#define SYNC_BYTES    (16UL << 20)
#define ATTRIBUTE_MAX 65536 /* XATTR_SIZE_MAX, XATTR_LIST_MAX */

int file_exchange(int directory, const char *a, const char *b)
{
	return renameat2(directory, a, directory, b, RENAME_EXCHANGE) < 0 ? -errno : 0;
}

static int write_all(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Several times over in one block: a short file that grows large takes a write for each block, not
 * for each repetition. Without memory for it the content itself is the block. Onto the disk piece
 * by piece: on a slow one it shows that it goes on. */
static int write_content(int fd, const struct file_content *content)
{
	size_t times =
		content->size && content->size < BLOCK_BYTES / 2 ? BLOCK_BYTES / content->size : 1;
	cleanup_free char *block = times > 1 && content->grow_to > content->size
					   ? malloc(times * content->size)
					   : NULL;
	const char *bytes = block ? block : content->bytes;
	size_t size = block ? times * content->size : content->size;
	int result = 0;

	for (size_t i = 0; block && i < times; i++)
		memcpy(block + i * content->size, content->bytes, content->size);
	for (size_t done = 0; done < content->grow_to && result == 0;) {
		size_t at = done % size, part = size - at;

		part = smaller(smaller(part, content->grow_to - done),
			       SYNC_BYTES - done % SYNC_BYTES);
		result = write_all(fd, bytes + at, part);
		done += part;
		if (result == 0 && done % SYNC_BYTES == 0 && fsync(fd) < 0)
			result = -errno;
		alive();
	}
	return result;
}

static int copy_attribute(int from, int to, const char *name, void *value)
{
	ssize_t size = fgetxattr(from, name, value, ATTRIBUTE_MAX);

	if (size < 0)
		return errno == ENODATA ? 0 : -errno;
	return fsetxattr(to, name, value, (size_t)size, 0) < 0 ? -errno : 0;
}

/* Access lists, labels and the like are attributes to the kernel. */
static int copy_attributes(int from, int to, const struct file_place *place, struct error *err)
{
	cleanup_free char *names = malloc(ATTRIBUTE_MAX), *value = malloc(ATTRIBUTE_MAX);
	ssize_t size = names && value ? flistxattr(from, names, ATTRIBUTE_MAX) : -1;

	if (!names || !value)
		return error_errno(err, ENOMEM, "cannot copy the attributes of %s", place->path);
	/* a default list of the directory has given it one that the file has not */
	if (fremovexattr(to, "system.posix_acl_access") < 0 && errno != ENODATA &&
	    errno != EOPNOTSUPP)
		return error_errno(err, errno, "cannot remove the access list of a copy of %s",
				   place->path);
	if (size < 0 && errno == EOPNOTSUPP)
		return 0;
	if (size < 0)
		return error_errno(err, errno, "cannot list the attributes of %s", place->path);
	for (const char *name = names; name < names + size; name += strlen(name) + 1) {
		int result = copy_attribute(from, to, name, value);

		if (result < 0)
			return error_errno(err, -result,
					   "cannot give a copy of %s the attribute '%.100s' of it",
					   place->path, name);
	}
	return 0;
}

static int fill(int fd, const struct file_place *place, int original,
		const struct file_identity *identity, const struct file_content *content,
		struct file_identity *out, struct error *err)
{
	int result = write_content(fd, content);

	if (result == 0 && fchown(fd, identity->uid, identity->gid) < 0)
		result = -errno;
	if (result == 0 && fchmod(fd, identity->mode & 07777) < 0)
		result = -errno;
	if (result < 0)
		return error_errno(err, -result, "cannot make a copy of %s beside it", place->path);
	result = copy_attributes(original, fd, place, err);
	if (result < 0)
		return result;
	if ((content->uid != identity->uid || content->gid != identity->gid) &&
	    fchown(fd, content->uid, content->gid) < 0)
		result = -errno;
	if (result == 0 && content->mode != (identity->mode & 07777) &&
	    fchmod(fd, content->mode) < 0)
		result = -errno;
	if (result == 0 && fsync(fd) < 0)
		result = -errno;
	if (result == 0)
		result = file_identify(fd, out);
	if (result == 0)
		out->content = file_content_of(fd, out->size);
	return result < 0 ? error_errno(err, -result, "cannot finish a copy of %s beside it",
					place->path)
			  : 0;
}

int file_copy_make(const struct file_place *place, const char *name, int original,
		   const struct file_identity *identity, const struct file_content *content,
		   int *out_fd, struct file_identity *out, struct error *err)
{
	cleanup_fd int fd = openat(place->directory, name,
				   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int result;

	if (fd < 0)
		return error_errno(err, errno, "cannot make a copy of %s beside it", place->path);
	result = fill(fd, place, original, identity, content, out, err);
	if (result < 0)
		return result;
	result = file_attributes_of(place->directory, name, &out->attributes);
	if (result < 0)
		return error_errno(err, -result, "cannot read the attributes of a copy of %s",
				   place->path);
	*out_fd = steal_fd(&fd);
	return 0;
}
