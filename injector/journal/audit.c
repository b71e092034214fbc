/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A line is one write(2) to a file opened with O_APPEND, so that lines of several processes never
 * mix. It always has room: texts of others (a byte of which may take six) are cut, and marked,
 * until it fits. Where a full disk took a part of the line before, it begins with the newline that
 * one lacks. The file is never truncated or rotated from here; with `chattr +a` it is append-only
 * for root as well.
 */
#include "injector/journal/audit.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/json.h"
#include "injector/journal/directory.h"
#include "injector/journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_SIZE 4096
#define TEXT_SIZE 1024
#define TEXT_MIN  128 /* of two texts: six times that, and all the rest at its longest, fits */
#define HELD_SIZE (64 << 10)
#define CUT	  "... (cut)"

static const char *directory = JOURNAL_STATE;

static struct {
	char command[32], user[64], terminal[64], file[TEXT_SIZE];
	char digest[2 * SHA256_DIGEST_SIZE + 1];
	uid_t uid;
} caller;

static struct {
	bool is_holding;
	size_t used;
	unsigned lost;
	char lines[HELD_SIZE];
} held;

void audit_set_directory(const char *path)
{
	directory = path;
}

static void find_terminal(char *out, size_t size)
{
	char path[64] = "";

	for (int fd = 0; fd <= 2; fd++)
		if (isatty(fd) && ttyname_r(fd, path, sizeof(path)) == 0)
			break;
	snprintf(out, size, "%s", strncmp(path, "/dev/", 5) == 0 ? path + 5 : path);
}

static void digest(const void *content, size_t length, char *out)
{
	uint8_t sum[SHA256_DIGEST_SIZE];
	struct sha256_ctx context;

	sha256_init(&context);
	sha256_update(&context, length, content);
	sha256_digest(&context, sizeof(sum), sum);
	for (unsigned i = 0; i < sizeof(sum); i++)
		sprintf(out + 2 * i, "%02x", sum[i]);
}

/* The first bytes of `text`, no character by half, with a mark when there are more. `size` is more
 * than the mark takes. */
static void cut(const char *text, size_t size, char *out)
{
	size_t length = strnlen(text, size);

	if (length < size) {
		memcpy(out, text, length + 1);
		return;
	}
	length = size - sizeof(CUT);
	for (int back = 0; back < 3 && ((unsigned char)text[length] & 0xc0) == 0x80; back++)
		length--;
	memcpy(out, text, length);
	memcpy(out + length, CUT, sizeof(CUT));
}

void audit_caller(const char *command, uid_t uid, const char *file, const void *content,
		  size_t length)
{
	const struct passwd *user = uid ? getpwuid(uid) : NULL; /* no reading of files for root */

	snprintf(caller.command, sizeof(caller.command), "%s", command);
	snprintf(caller.user, sizeof(caller.user), "%s", user ? user->pw_name : uid ? "" : "root");
	cut(file ? file : "", sizeof(caller.file), caller.file);
	find_terminal(caller.terminal, sizeof(caller.terminal));
	caller.uid = uid;
	caller.digest[0] = '\0';
	if (content)
		digest(content, length, caller.digest);
}

static char *write_line(const char *event, const char *run_id, const char *text, const char *file)
{
	char now[40], *line;
	json_t *root;

	clock_format_wall(clock_wall_ns(), now, sizeof(now));
	root = json_pack("{s:s, s:s, s:o, s:o, s:i, s:o, s:i, s:o, s:o, s:o, s:o}", "time", now,
			 "event", event, "run", json_text(run_id), "user", json_text(caller.user),
			 "uid", (int)caller.uid, "terminal", json_text(caller.terminal), "pid",
			 (int)getpid(), "command", json_text(caller.command), "file",
			 json_text(file), "sha256", json_text(caller.digest), "text",
			 json_text(text));
	line = root ? json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	json_decref(root);
	return line;
}

/* Shorter than LINE_SIZE, its newline included. NULL: out of memory. */
static char *fitting_line(const char *event, const char *run_id, const char *text)
{
	char some_text[TEXT_SIZE], some_file[TEXT_SIZE], *line = NULL;

	for (size_t room = TEXT_SIZE; room >= TEXT_MIN; room /= 2) {
		free(line);
		cut(text, room, some_text);
		cut(caller.file, room, some_file);
		line = write_line(event, run_id, some_text, some_file);
		if (!line || strlen(line) + 2 <= LINE_SIZE)
			break;
	}
	return line;
}

/* What was written last is no whole line. */
static bool is_torn(int file)
{
	const off_t end = lseek(file, 0, SEEK_END);
	char last = '\n';

	return end > 0 && pread(file, &last, 1, end - 1) == 1 && last != '\n';
}

static int append(const char *lines, size_t length, struct error *err)
{
	cleanup_fd int folder = directory_open(directory, 0755, err), file = -1;
	ssize_t written;

	if (folder < 0)
		return folder;
	file = openat(folder, AUDIT_FILE,
		      O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
	if (file < 0)
		return error_errno(err, errno, "cannot open %s/" AUDIT_FILE, directory);
	written = is_torn(file) ? write(file, "\n", 1) : 1;
	if (written == 1)
		written = write(file, lines, length);
	if (written == (ssize_t)length)
		return 0;
	error_errno(err, written < 0 ? errno : ENOSPC, "cannot write %s/" AUDIT_FILE, directory);
	return error_remedy(err, "make room there");
}

static bool send_to(int fd, const char *path, const char *message, size_t length)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return sendto(fd, message, length, MSG_DONTWAIT | MSG_NOSIGNAL,
		      (const struct sockaddr *)&address, sizeof(address)) == (ssize_t)length;
}

/* systemd.io/JOURNAL_NATIVE_PROTOCOL; else RFC 3164 as syslog(3) does it. Not syslog(3): it keeps a
 * descriptor, and waits for a logger that does not read. */
static void tell_system(const char *event, const char *run_id, const char *text, const char *line)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char message[LINE_SIZE + 1024], clean[512];
	int length;

	if (fd < 0)
		return;
	snprintf(clean, sizeof(clean), "%.511s", text);
	for (char *at = clean; *at; at++)
		if ((unsigned char)*at < ' ')
			*at = ' '; /* a newline ends a field */
	length =
		snprintf(message, sizeof(message),
			 "MESSAGE=%s%s%s: %s\nPRIORITY=5\nSYSLOG_IDENTIFIER=squall\n"
			 "SQUALL_EVENT=%s\nSQUALL_RUN=%s\nSQUALL_UID=%u\nSQUALL_AUDIT=%s\n",
			 event, *run_id ? " " : "", run_id, clean, event, run_id, caller.uid, line);
	if (length < (int)sizeof(message) &&
	    send_to(fd, "/run/systemd/journal/socket", message, (size_t)length))
		return;
	length = snprintf(message, sizeof(message), "<%d>squall[%d]: %s", LOG_AUTHPRIV | LOG_NOTICE,
			  (int)getpid(), line);
	if (length < (int)sizeof(message))
		send_to(fd, "/dev/log", message, (size_t)length);
}

int audit_write(struct error *err, const char *event, const char *run_id, const char *format, ...)
{
	char text[TEXT_SIZE + 1]; /* so that cut() sees that there was more */
	cleanup_free char *line = NULL;
	size_t length;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	line = fitting_line(event, run_id, text);
	if (!line)
		return error_errno(err, ENOMEM, "cannot write a line of the audit");
	length = strlen(line);
	tell_system(event, run_id, text, line);
	line[length] = '\n'; /* the end is not looked for any more */
	if (!held.is_holding)
		return append(line, length + 1, err);
	if (held.used + length + 1 > sizeof(held.lines)) {
		held.lost++;
		return 0;
	}
	memcpy(held.lines + held.used, line, length + 1);
	held.used += length + 1;
	return 0;
}

void audit_hold(void)
{
	held.is_holding = true;
}

int audit_release(struct error *err)
{
	struct error why = ERROR_INIT;
	cleanup_free char *line = NULL;
	int result = held.used ? append(held.lines, held.used, &why) : 0;

	held.is_holding = false;
	if (result < 0) { /* not into the file: the system's log has them, and is told so */
		line = fitting_line("lost", "", why.text);
		if (line)
			tell_system("lost", "", why.text, line);
		if (err)
			*err = why;
	}
	if (held.lost)
		audit_write(NULL, "lost", "", "%u lines did not fit into memory", held.lost);
	held.used = held.lost = 0;
	return result;
}
