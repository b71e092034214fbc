/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file of a journal: made with its space reserved, appended to, read. Every write is one record
 * behind the last whole one; nothing in it is ever changed.
 */
#include "injector/journal/journal.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/journal/crc32.h"
#include "injector/journal/directory.h"
#include "injector/journal/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define JOURNAL_SIZE ((off_t)JOURNAL_CAPACITY * (off_t)sizeof(struct journal_record))

struct journal {
	int fd;		     /* O_APPEND */
	int directory;	     /* of the run */
	off_t end;	     /* behind the last whole record */
	bool has_torn_tail;  /* cut off before the first append */
	unsigned open_undos; /* each keeps room for its DONE */
	unsigned damaged;
	char run_id[RUN_ID_SIZE];
};

static int write_fully(int fd, const void *bytes, size_t size)
{
	ssize_t written;

	do
		written = write(fd, bytes, size);
	while (written < 0 && errno == EINTR);
	if (written < 0)
		return -errno;
	return (size_t)written == size ? 0 : -ENOSPC; /* only a full disk writes less (write(2)) */
}

/* Space behind the end of the file (KEEP_SIZE), which O_APPEND writes then use up. */
static int reserve(int fd)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, JOURNAL_SIZE) < 0 ? -errno : 0;
}

/* File systems without fallocate (ramfs, ext2, some network ones): a file of zeros of the same size
 * lies beside the journal and is given up when the disk turns out to be full. */
static int reserve_beside(int directory)
{
	static const char zeros[65536];
	cleanup_fd int fd = openat(directory, RESERVE_FILE,
				   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int result = fd < 0 ? -errno : 0;

	for (off_t at = 0; result == 0 && at < JOURNAL_SIZE; at += (off_t)sizeof(zeros))
		result = write_fully(fd, zeros, sizeof(zeros));
	if (result == 0 && fsync(fd) < 0) /* delayed allocation would find the full disk too late */
		result = -errno;
	return result;
}

static void fill(struct journal_record *record, off_t end)
{
	record->magic = JOURNAL_MAGIC;
	record->version = JOURNAL_VERSION;
	record->sequence = (uint32_t)(end / (off_t)sizeof(*record)) + 1;
	record->time_ns = clock_now_ns();
	record->crc = crc32_of(record, offsetof(struct journal_record, crc));
}

/* A write that failed half way must not leave a torn record in front of the next one. */
static int append_once(struct journal *journal, const struct journal_record *record)
{
	int result;

	if (journal->has_torn_tail) {
		/* one that is open for reading only: EINVAL, not EBADF (ftruncate(2)) */
		if (ftruncate(journal->fd, journal->end) < 0)
			return errno == EINVAL ? -EBADF : -errno;
		reserve(journal->fd); /* truncating gave it back; without it a DONE may be lost */
		journal->has_torn_tail = false;
	}
	result = write_fully(journal->fd, record, sizeof(*record));
	if (result < 0)
		journal->has_torn_tail = true;
	return result;
}

unsigned journal_room(const struct journal *journal)
{
	const off_t used =
		journal->end / (off_t)sizeof(struct journal_record) + (off_t)journal->open_undos;

	return used < JOURNAL_CAPACITY ? (unsigned)(JOURNAL_CAPACITY - used) : 0;
}

static int append(struct journal *journal, struct journal_record *record, struct error *err)
{
	off_t size = (off_t)sizeof(*record);
	off_t kept = record->kind == JOURNAL_DONE ? 0 : (off_t)journal->open_undos * size;
	int result;

	if (record->kind == JOURNAL_UNDO)
		kept += size;
	if (journal->end + size + kept > JOURNAL_SIZE) {
		error_set(err, ENOSPC, "the journal of run %s is full (%u records)",
			  journal->run_id, JOURNAL_CAPACITY);
		return error_remedy(err, "split the experiment: fewer steps or targets in one run");
	}
	fill(record, journal->end);
	result = append_once(journal, record);
	if (result == -ENOSPC && unlinkat(journal->directory, RESERVE_FILE, 0) == 0)
		result = append_once(journal, record);
	if (result == -EBADF)
		result = -EROFS; /* open_file() */
	if (result < 0)
		return error_errno(err, -result, "cannot write to the journal %s/%s/%s",
				   journal_root_of(journal->run_id), journal->run_id, JOURNAL_FILE);
	journal->end += size;
	return 0;
}

static int create_failed(int code, const char *root, const char *run_id, struct error *err)
{
	error_errno(err, code, "cannot make the journal of run %s in %s", run_id, root);
	if (code == ENOSPC || code == EDQUOT)
		error_remedy(
			err,
			"free %lld KiB on the file system of %s: without a journal nothing can "
			"be injected safely",
			(long long)JOURNAL_SIZE / 1024, root);
	else if (code == EACCES || code == EPERM)
		error_remedy(err, "run it as root: sudo squall ...");
	return -code;
}

int journal_boot_id(char out[40], struct error *err)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[40] = "";
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (got < 0)
		return error_errno(err, errno, "cannot read %s", path);
	text[strcspn(text, "\n")] = '\0';
	if (!text[0])
		return error_set(err, EIO, "%s is empty", path);
	memcpy(out, text, sizeof(text));
	return 0;
}

static int write_header(struct journal *journal, const struct journal_header *header)
{
	struct journal_record record = {.kind = JOURNAL_HEADER};
	int result;

	memcpy(record.payload, header, sizeof(*header));
	fill(&record, 0);
	result = reserve(journal->fd);
	if (result == -EOPNOTSUPP || result == -ENOSYS)
		result = reserve_beside(journal->directory);
	if (result == 0)
		result = write_fully(journal->fd, &record, sizeof(record));
	if (result == 0)
		journal->end = (off_t)sizeof(record);
	return result;
}

static int create_in(enum runs_root which, int root, const struct journal_header *header,
		     struct journal *journal, struct error *err)
{
	const char *run_id = header->run_id;
	bool is_kept = which == RUNS_KEPT;
	int result;

	if (mkdirat(root, run_id, 0700) < 0)
		return create_failed(errno, runs_root(which), run_id, err);
	journal->directory = directory_open_at(root, run_id, 0, runs_root(which), err);
	if (journal->directory < 0) {
		result = journal->directory;
		unlinkat(root, run_id, AT_REMOVEDIR);
		return result;
	}
	journal->fd = openat(journal->directory, JOURNAL_FILE,
			     O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC |
				     (is_kept ? O_DSYNC : 0),
			     0600);
	result = journal->fd < 0 ? -errno : write_header(journal, header);
	if (result == 0 && is_kept && (fsync(journal->directory) < 0 || fsync(root) < 0))
		result = -errno;
	if (result == 0)
		return 0;
	runs_remove(which, root, journal->directory, run_id, NULL);
	return create_failed(-result, runs_root(which), run_id, err);
}

static struct journal *journal_alloc(const char *run_id)
{
	struct journal *journal = calloc(1, sizeof(*journal));

	if (!journal)
		return NULL;
	journal->fd = journal->directory = -1;
	snprintf(journal->run_id, sizeof(journal->run_id), "%s", run_id);
	return journal;
}

static int create(enum runs_root which, const struct journal_header *given, struct journal **out,
		  struct error *err)
{
	struct journal_header copy = *given, *header = &copy;
	cleanup_fd int root = -1;
	struct journal *journal;
	int result;

	/* Without it the run would look like one of another boot, whose journal may be removed. */
	if (!header->boot_id[0]) {
		result = journal_boot_id(header->boot_id, err);
		if (result < 0)
			return result;
	}
	if (!memchr(header->run_id, '\0', RUN_ID_SIZE) || !runs_is_id(header->run_id))
		return error_set(err, EINVAL, "'%.8s' is not an identifier of a run",
				 header->run_id);
	root = runs_lock_root(which, true, err);
	if (root < 0)
		return root;
	journal = journal_alloc(header->run_id);
	if (!journal)
		return create_failed(ENOMEM, runs_root(which), header->run_id, err);
	result = create_in(which, root, header, journal, err);
	if (result < 0) {
		runs_tidy_root(which);
		journal_close(journal);
		return result;
	}
	*out = journal;
	return 0;
}

int journal_create(const struct journal_header *given, struct journal **out, struct error *err)
{
	return create(RUNS_BOOT, given, out, err);
}

int journal_create_kept(const struct journal_header *given, struct journal **out, struct error *err)
{
	return create(RUNS_KEPT, given, out, err);
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	if (journal->fd >= 0)
		close(journal->fd);
	if (journal->directory >= 0)
		close(journal->directory);
	free(journal);
}

static int check_file(int fd, const char *run_id, struct error *err)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return error_errno(err, errno, "cannot examine the journal of run %s", run_id);
	if (!S_ISREG(status.st_mode) || status.st_nlink > 1 ||
	    (status.st_uid != 0 && status.st_uid != geteuid()) || (status.st_mode & 022))
		return error_set(err, DIRECTORY_DISTRUSTED,
				 "%s/%s/%s is not root's own regular file: it is not trusted",
				 journal_root_of(run_id), run_id, JOURNAL_FILE);
	return 0;
}

/* On a file system that has become read-only for reading alone: who is to be asked to stop, and
 * what is to be undone, can still be learnt. */
static int open_file(int directory, enum runs_root which)
{
	const int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(directory, JOURNAL_FILE,
			flags | O_RDWR | O_APPEND | (which == RUNS_KEPT ? O_DSYNC : 0));

	return fd < 0 && errno == EROFS ? openat(directory, JOURNAL_FILE, flags | O_RDONLY) : fd;
}

int journal_open(const char *run_id, struct journal **out, struct error *err)
{
	cleanup_free struct journal_record *records = NULL;
	enum runs_root which = RUNS_BOOT;
	struct journal *journal;
	unsigned count;
	int result;
	int directory = runs_open(run_id, &which, err);

	if (directory < 0)
		return directory;
	journal = journal_alloc(run_id);
	if (!journal) {
		close(directory);
		return error_errno(err, ENOMEM, "cannot open the journal of run %s", run_id);
	}
	journal->directory = directory;
	journal->fd = open_file(directory, which);
	if (journal->fd < 0 && errno == ENOENT)
		result = error_set(err, ENODATA, "run %s has no journal: nothing was done", run_id);
	else if (journal->fd < 0)
		result = error_errno(err, errno, "cannot open the journal of run %s", run_id);
	else
		result = check_file(journal->fd, run_id, err);
	if (result == 0)
		result = journal_read(journal, &records, &count, err);
	if (result < 0) {
		journal_close(journal);
		return result;
	}
	*out = journal;
	return 0;
}

/* The whole file in one piece; *out_bytes may be less than what is there while it grows. */
static int slurp(struct journal *journal, struct journal_record **out, size_t *out_bytes,
		 struct error *err)
{
	cleanup_free char *bytes = NULL;
	struct stat status;
	size_t used = 0;
	ssize_t got = 1;

	if (fstat(journal->fd, &status) < 0)
		return error_errno(err, errno, "cannot examine the journal of run %s",
				   journal->run_id);
	if (status.st_size > JOURNAL_SIZE)
		return error_set(err, EBADMSG, "the journal of run %s is longer than any journal",
				 journal->run_id);
	bytes = malloc((size_t)status.st_size + sizeof(struct journal_record));
	if (!bytes)
		return error_errno(err, ENOMEM, "cannot read the journal of run %s",
				   journal->run_id);
	while (used < (size_t)status.st_size && got > 0) {
		got = pread(journal->fd, bytes + used, (size_t)status.st_size - used, (off_t)used);
		if (got > 0)
			used += (size_t)got;
		else if (got < 0 && errno == EINTR)
			got = 1;
	}
	if (got < 0)
		return error_errno(err, errno, "cannot read the journal of run %s",
				   journal->run_id);
	*out = (void *)steal_pointer(&bytes);
	*out_bytes = used;
	return 0;
}

int journal_read(struct journal *journal, struct journal_record **out_records, unsigned *out_count,
		 struct error *err)
{
	cleanup_free struct journal_record *records = NULL;
	unsigned count, damaged, open_undos = 0;
	size_t bytes = 0, trimmed;
	int result = slurp(journal, &records, &bytes, err);

	if (result < 0)
		return result;
	/* The size of a file may reach the disk before its content does. */
	trimmed = journal_trim(records, bytes);
	journal->has_torn_tail = trimmed != bytes || bytes % sizeof(*records) != 0;
	bytes = trimmed;
	result = journal_parse(records, bytes, &count, &damaged, err);
	if (result < 0)
		return err ? error_prefix(err, "run %s", journal->run_id) : result;
	for (unsigned at = 0; at < count; at++)
		open_undos += journal_is_open(records, count, at);
	journal->open_undos = open_undos;
	journal->damaged = damaged;
	journal->end = (off_t)(bytes - bytes % sizeof(*records));
	*out_records = steal_pointer(&records);
	*out_count = count;
	return 0;
}

void journal_read_other(const char *run_id, struct journal_record **out_records,
			unsigned *out_count)
{
	struct journal *journal;

	*out_records = NULL;
	*out_count = 0;
	if (journal_open(run_id, &journal, NULL) < 0)
		return;
	journal_read(journal, out_records, out_count, NULL);
	journal_close(journal);
}

const char *journal_run_id(const struct journal *journal)
{
	return journal->run_id;
}

unsigned journal_damaged(const struct journal *journal)
{
	return journal->damaged;
}

int journal_undo(struct journal *journal, const char *owner, uint32_t step, uint32_t type,
		 const void *payload, size_t payload_size, struct error *err)
{
	struct journal_record record = {.kind = JOURNAL_UNDO, .step = step, .type = type};
	int result;

	if (payload_size > sizeof(record.payload) || strlen(owner) >= sizeof(record.owner))
		return error_set(err, EINVAL, "an undo record of %s is too long (%zu bytes)", owner,
				 payload_size);
	memcpy(record.owner, owner, strlen(owner));
	if (payload_size)
		memcpy(record.payload, payload, payload_size);
	result = append(journal, &record, err);
	if (result < 0)
		return result;
	journal->open_undos++;
	return (int)record.sequence;
}

int journal_done(struct journal *journal, uint32_t sequence, struct error *err)
{
	struct journal_record record = {.kind = JOURNAL_DONE, .of_sequence = sequence};
	int result = append(journal, &record, err);

	if (result == 0 && journal->open_undos)
		journal->open_undos--;
	return result;
}

int journal_started(struct journal *journal, uint32_t step, const char *text, int64_t until_ns,
		    struct error *err)
{
	struct journal_record record = {
		.kind = JOURNAL_STARTED, .step = step, .until_ns = until_ns};

	snprintf((char *)record.payload, sizeof(record.payload), "%s", text);
	return append(journal, &record, err);
}

int journal_ended(struct journal *journal, uint32_t step, struct error *err)
{
	struct journal_record record = {.kind = JOURNAL_ENDED, .step = step};

	return append(journal, &record, err);
}
