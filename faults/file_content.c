/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bad version of a file, built in memory from the good one. Nothing on the disk is changed.
 */
#include "faults/file.h"

#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"
#include "injector/kernel/trusted_file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define CONTENT_MAX (64 << 20)

static const unsigned contents[] = {FILE_CONTENT, FILE_CONTENT_FROM,  FILE_PATTERN, FILE_TRUNCATE,
				    FILE_CORRUPT, FILE_CORRUPT_BYTES, FILE_OVERSIZE};

static int parse_mode(const char *text, uint32_t *out, struct error *err)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (!*text || *end || strspn(text, "01234567") != strlen(text) || mode > 07777)
		return error_set(err, EINVAL,
				 "mode: '%s' is not a mode; write it like \"0600\" (octal)", text);
	*out = (uint32_t)mode;
	return 0;
}

static bool is_number(const char *text, uint32_t *out)
{
	int64_t number;

	if (quantity_parse_integer(text, &number, NULL) < 0 || number < 0 || number >= UINT32_MAX)
		return false;
	*out = (uint32_t)number;
	return true;
}

static int find_owner(const char *text, uint32_t *out, struct error *err)
{
	struct passwd entry, *found = NULL;
	char buffer[4096];

	if (is_number(text, out))
		return 0;
	if (getpwnam_r(text, &entry, buffer, sizeof(buffer), &found) != 0 || !found)
		return error_set(err, ENOENT, "owner: there is no user '%s' here", text);
	*out = found->pw_uid;
	return 0;
}

static int find_group(const char *text, uint32_t *out, struct error *err)
{
	struct group entry, *found = NULL;
	char buffer[4096];

	if (is_number(text, out))
		return 0;
	if (getgrnam_r(text, &entry, buffer, sizeof(buffer), &found) != 0 || !found)
		return error_set(err, ENOENT, "group: there is no group '%s' here", text);
	*out = found->gr_gid;
	return 0;
}

int file_content_check(const struct params *params, struct error *err)
{
	const char *first = NULL;
	uint32_t mode;

	for (unsigned i = 0; i < sizeof(contents) / sizeof(*contents); i++) {
		const char *name = params->table[contents[i]].name;

		if (!params_is_set(params, contents[i]))
			continue;
		if (first)
			return error_set(err, EINVAL,
					 "`%s` and `%s` both say what is in the file; give one",
					 first, name);
		first = name;
	}
	if (!first && !params_is_set(params, FILE_OWNER) && !params_is_set(params, FILE_GROUP) &&
	    !params_is_set(params, FILE_MODE)) {
		error_set(err, EINVAL, "nothing is said that would be wrong with the file");
		return error_remedy(
			err, "give one of content, content-from, pattern, truncate, corrupt, "
			     "corrupt-bytes, oversize; or owner, group, mode");
	}
	if (params_is_set(params, FILE_PATTERN) != params_is_set(params, FILE_WITH))
		return error_set(err, EINVAL,
				 "`pattern` and `with` belong together: what is "
				 "replaced, and by what");
	if (params_is_set(params, FILE_SEED) && !params_is_set(params, FILE_CORRUPT) &&
	    !params_is_set(params, FILE_CORRUPT_BYTES))
		return error_set(err, EINVAL, "`seed` belongs to `corrupt` or `corrupt-bytes`");
	return params_is_set(params, FILE_MODE)
		       ? parse_mode(params_text(params, FILE_MODE), &mode, err)
		       : 0;
}

/* All of an open file; one byte more is allocated than it has. */
static int slurp(int fd, const char *what, struct file_content *content, struct error *err)
{
	struct stat status;
	size_t used = 0;
	ssize_t got = 1;

	if (fstat(fd, &status) < 0)
		return error_errno(err, errno, "cannot examine %s", what);
	if (!S_ISREG(status.st_mode) || status.st_size > CONTENT_MAX)
		return error_set(err, EFBIG, "%s must be a regular file of at most %d MiB", what,
				 CONTENT_MAX >> 20);
	content->bytes = malloc((size_t)status.st_size + 1);
	if (!content->bytes)
		return error_errno(err, ENOMEM, "cannot read %s", what);
	while (used < (size_t)status.st_size && got > 0) {
		got = pread(fd, content->bytes + used, (size_t)status.st_size - used, (off_t)used);
		if (got < 0 && errno != EINTR)
			return error_errno(err, errno, "cannot read %s", what);
		used += got > 0 ? (size_t)got : 0;
		got = got < 0 ? 1 : got;
	}
	content->size = used;
	return 0;
}

/* With the rights of who called sudo: what that user may not read must not become readable by way
 * of a copy. Groups beside the first one do not count. */
static int open_as(uint32_t uid, const char *path)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct passwd entry, *user = NULL;
	char buffer[4096];
	int fd, code, count;
	gid_t groups[256];

	if (uid == 0)
		return open(path, flags);
	if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &user) != 0 || !user) {
		errno = EPERM;
		return -1;
	}
	count = getgroups(256, groups);
	if (count < 0 || setgroups(0, NULL) < 0)
		return -1;
	setfsgid(user->pw_gid);
	setfsuid(uid);
	errno = EPERM;
	fd = (uid_t)setfsuid((uid_t)-1) == uid ? open(path, flags) : -1;
	code = errno;
	setfsuid(0);
	setfsgid(getegid());
	if (setgroups((size_t)count, groups) < 0 && fd >= 0) {
		close(fd);
		return -1;
	}
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* another fsuid has cleared it (credentials(7)) */
	errno = code;
	return fd;
}

static int take_other(const char *path, uint32_t reader, struct file_content *content,
		      struct error *err)
{
	cleanup_fd int fd = open_as(reader, path);

	if (fd < 0)
		return error_errno(err, errno, "content-from: cannot open %s as user %u", path,
				   reader);
	if (trusted_file_check_for(fd, path, reader, err) < 0)
		return error_prefix(err, "content-from");
	snprintf(content->words, sizeof(content->words), "the content of %.150s", path);
	return slurp(fd, path, content, err);
}

static int take_lines(const struct params *params, struct file_content *content, struct error *err)
{
	unsigned count = params_count(params, FILE_CONTENT);

	for (unsigned i = 0; i < count; i++)
		content->size += strlen(params_value(params, FILE_CONTENT, i)->text) + 1;
	content->bytes = malloc(content->size + 1);
	if (!content->bytes)
		return error_errno(err, ENOMEM, "cannot keep the content");
	content->bytes[0] = '\0';
	for (char *at = content->bytes; count; count--) {
		unsigned index = params_count(params, FILE_CONTENT) - count;

		at = stpcpy(stpcpy(at, params_value(params, FILE_CONTENT, index)->text), "\n");
	}
	snprintf(content->words, sizeof(content->words), "%u line%s of the experiment",
		 params_count(params, FILE_CONTENT),
		 params_count(params, FILE_CONTENT) == 1 ? "" : "s");
	return 0;
}

static int corrupt(const struct params *params, uint64_t seed, struct file_content *content,
		   struct error *err)
{
	int64_t share = params_number(params, FILE_CORRUPT, 0);
	uint64_t count = (uint64_t)params_number(params, FILE_CORRUPT_BYTES, 0);

	if (!content->size)
		return error_set(err, ENODATA, "it is empty: there is no byte to corrupt");
	if (share)
		count = (uint64_t)((double)content->size * (double)share / SHARE_ONE);
	count = count < 1 ? 1 : count > content->size ? content->size : count;
	file_edit_corrupt(count, (uint64_t)params_number(params, FILE_SEED, (int64_t)seed),
			  content);
	snprintf(content->words, sizeof(content->words), "%llu of its bytes corrupted",
		 (unsigned long long)count);
	return 0;
}

/* What needs the good content. */
static int change(const struct params *params, uint64_t seed, struct file_content *content,
		  struct error *err)
{
	int64_t size;

	snprintf(content->words, sizeof(content->words), "its own content");
	if (params_is_set(params, FILE_PATTERN))
		return file_edit_replace(params_text(params, FILE_PATTERN),
					 params_text(params, FILE_WITH), content, err);
	if (params_is_set(params, FILE_CORRUPT) || params_is_set(params, FILE_CORRUPT_BYTES))
		return corrupt(params, seed, content, err);
	if (params_is_set(params, FILE_TRUNCATE)) {
		size = params_number(params, FILE_TRUNCATE, 0);
		if ((uint64_t)size >= content->size)
			return error_set(err, EINVAL,
					 "truncate: it has only %zu bytes; %lld would change "
					 "nothing",
					 content->size, (long long)size);
		content->size = (size_t)size;
		snprintf(content->words, sizeof(content->words), "its first %lld bytes",
			 (long long)size);
	} else if (params_is_set(params, FILE_OVERSIZE)) {
		size = params_number(params, FILE_OVERSIZE, 0);
		if ((uint64_t)size <= content->size)
			return error_set(err, EINVAL, "oversize: it has %zu bytes already",
					 content->size);
		content->grow_to = (size_t)size;
		if (!content->size)
			content->bytes[content->size++] = '\n';
		snprintf(content->words, sizeof(content->words),
			 "its content over and over, %lld bytes", (long long)size);
	}
	return 0;
}

static int take_owner(const struct params *params, const struct file_identity *original,
		      struct file_content *content, struct error *err)
{
	int result = 0;

	content->mode = original->mode & 07777;
	content->uid = original->uid;
	content->gid = original->gid;
	if (params_is_set(params, FILE_MODE))
		result = parse_mode(params_text(params, FILE_MODE), &content->mode, err);
	if (result == 0 && params_is_set(params, FILE_OWNER))
		result = find_owner(params_text(params, FILE_OWNER), &content->uid, err);
	if (result == 0 && params_is_set(params, FILE_GROUP))
		result = find_group(params_text(params, FILE_GROUP), &content->gid, err);
	return result;
}

int file_content_build(const struct params *params, uint64_t seed, uint32_t reader, int fd,
		       const struct file_identity *original, struct file_content *out,
		       struct error *err)
{
	struct file_content content = {0};
	int result = take_owner(params, original, &content, err);

	if (result == 0 && params_is_set(params, FILE_CONTENT))
		result = take_lines(params, &content, err);
	else if (result == 0 && params_is_set(params, FILE_CONTENT_FROM))
		result = take_other(params_text(params, FILE_CONTENT_FROM), reader, &content, err);
	else if (result == 0)
		result = slurp(fd, "it", &content, err);
	if (result == 0 && !params_is_set(params, FILE_CONTENT) &&
	    !params_is_set(params, FILE_CONTENT_FROM))
		result = change(params, seed, &content, err);
	if (result < 0) {
		file_content_free(&content);
		return result;
	}
	if (!content.grow_to)
		content.grow_to = content.size;
	*out = content;
	return 0;
}

void file_content_free(struct file_content *content)
{
	free(content->bytes);
	*content = (struct file_content){0};
}
