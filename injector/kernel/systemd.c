/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Just enough of the D-Bus protocol (D-Bus Specification, "Message Protocol"): one method call and
 * its answer, in this machine's byte order, bounded in size and time.
 */
#include "injector/kernel/systemd.h"

#include "injector/base/cleanup.h"
#include "injector/base/printable.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define MESSAGE_MAX 4096
#define PATIENCE_S  1
#define ANSWERS_MAX 16 /* signals may come before the answer */

enum message_type { METHOD_CALL = 1, METHOD_RETURN = 2, METHOD_ERROR = 3 };
enum header_field { FIELD_PATH = 1, FIELD_INTERFACE = 2, FIELD_MEMBER = 3, FIELD_SIGNATURE = 8 };

struct message {
	uint8_t bytes[MESSAGE_MAX];
	size_t used;
};

struct fixed_header {
	uint8_t order, type, flags, version;
	uint32_t body_size, serial, fields_size;
};

static const char *socket_path = SYSTEMD_SOCKET;

void systemd_set_socket(const char *path)
{
	socket_path = path;
}

/* Names of units are short: nothing here comes near the end of a message. */
static void put(struct message *message, const void *bytes, size_t size)
{
	if (message->used + size <= sizeof(message->bytes))
		memcpy(message->bytes + message->used, bytes, size);
	message->used += size;
}

static void align(struct message *message, size_t to)
{
	static const uint8_t zeros[8];

	put(message, zeros, (to - message->used % to) % to);
}

static void put_string(struct message *message, const char *text)
{
	uint32_t length = (uint32_t)strlen(text);

	align(message, 4);
	put(message, &length, sizeof(length));
	put(message, text, length + 1);
}

static void put_field(struct message *message, uint8_t field, char type, const char *text)
{
	const uint8_t head[] = {field, 1, (uint8_t)type, 0};
	uint8_t length = (uint8_t)strlen(text);

	align(message, 8);
	put(message, head, sizeof(head));
	if (type == 'g') { /* a signature has a short length */
		put(message, &length, 1);
		put(message, text, length + 1U);
	} else {
		put_string(message, text);
	}
}

/* `mode`: of a job, the second argument; NULL: the method takes the unit alone. */
static int make_call(const char *method, const char *unit, const char *mode, struct message *out,
		     struct error *err)
{
	struct message message = {.used = sizeof(struct fixed_header)};
	struct fixed_header header = {.order = __BYTE_ORDER == __LITTLE_ENDIAN ? 'l' : 'B',
				      .type = METHOD_CALL,
				      .version = 1,
				      .serial = 1};
	size_t body;

	put_field(&message, FIELD_PATH, 'o', "/org/freedesktop/systemd1");
	put_field(&message, FIELD_INTERFACE, 's', "org.freedesktop.systemd1.Manager");
	put_field(&message, FIELD_MEMBER, 's', method);
	put_field(&message, FIELD_SIGNATURE, 'g', mode ? "ss" : "s");
	header.fields_size = (uint32_t)(message.used - sizeof(header));
	align(&message, 8);
	body = message.used;
	put_string(&message, unit);
	if (mode)
		put_string(&message, mode);
	if (message.used > sizeof(message.bytes))
		return error_set(err, ENAMETOOLONG, "'%.40s...' is not the name of a unit", unit);
	header.body_size = (uint32_t)(message.used - body);
	memcpy(message.bytes, &header, sizeof(header));
	*out = message;
	return 0;
}

static int send_all(int fd, const void *bytes, size_t size)
{
	ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

	return sent < 0 ? -errno : (size_t)sent == size ? 0 : -EPIPE;
}

static int receive_all(int fd, void *bytes, size_t size)
{
	ssize_t got = recv(fd, bytes, size, MSG_WAITALL);

	return got < 0 ? -errno : (size_t)got == size ? 0 : -EPIPE;
}

/* "\0AUTH EXTERNAL <our user in hexadecimal>", "OK ...", "BEGIN" */
static int authenticate(int fd)
{
	char line[128], user[16];
	int result, length;
	size_t used = 0;

	snprintf(user, sizeof(user), "%u", geteuid());
	length = snprintf(line, sizeof(line), "%cAUTH EXTERNAL ", '\0');
	for (const char *digit = user; *digit; digit++)
		length += snprintf(line + length, sizeof(line) - (size_t)length, "%02x", *digit);
	length += snprintf(line + length, sizeof(line) - (size_t)length, "\r\n");
	result = send_all(fd, line, (size_t)length);
	while (result == 0 && used + 1 < sizeof(line) &&
	       (used == 0 || line[used - 1] != '\n')) /* byte by byte: a message may follow */
		result = receive_all(fd, line + used++, 1);
	if (result == 0 && (strncmp(line, "OK", 2) != 0 || line[used - 1] != '\n'))
		result = -EACCES;
	return result == 0 ? send_all(fd, "BEGIN\r\n", 7) : result;
}

static int connect_manager(int *out_fd, struct error *err)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return error_errno(err, errno, "cannot reach the service manager");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	if (connect(fd, (const void *)&address, sizeof(address)) < 0) {
		result = errno == ECONNREFUSED ? ENOENT : errno;
		error_errno(err, result, "cannot reach systemd at %s", socket_path);
		error_remedy(err, "without systemd: reload-pidfile and reload-signal");
		return -result;
	}
	result = authenticate(fd);
	if (result < 0)
		return error_errno(err, -result, "systemd does not talk to this process");
	*out_fd = steal_fd(&fd);
	return 0;
}

/* The text that an error carries as its first value. */
static void take_text(const uint8_t *body, size_t size, char *out, size_t out_size)
{
	uint32_t length = 0;

	if (size >= sizeof(length))
		memcpy(&length, body, sizeof(length));
	if (length > size - sizeof(length) || size < sizeof(length))
		length = 0;
	snprintf(out, out_size, "%.*s", (int)length, (const char *)body + sizeof(length));
	printable_clean(out, false);
}

/* out_text may be NULL: the first value of the answer, which is a text. */
static int await_answer(int fd, const char *unit, char *out_text, size_t size, struct error *err)
{
	uint8_t rest[MESSAGE_MAX];
	struct fixed_header header;
	char text[300];

	for (unsigned at = 0; at < ANSWERS_MAX; at++) {
		int result = receive_all(fd, &header, sizeof(header));
		size_t fields = ((size_t)header.fields_size + 7) & ~(size_t)7;

		if (result == 0 &&
		    (header.fields_size > sizeof(rest) || header.body_size > sizeof(rest) - fields))
			result = -EMSGSIZE;
		if (result == 0)
			result = receive_all(fd, rest, fields + header.body_size);
		if (result < 0)
			return error_errno(err, -result, "no answer of systemd about %s", unit);
		if (header.type == METHOD_RETURN && out_text)
			take_text(rest + fields, header.body_size, out_text, size);
		if (header.type == METHOD_RETURN)
			return 0;
		if (header.type != METHOD_ERROR)
			continue;
		take_text(rest + fields, header.body_size, text, sizeof(text));
		return error_set(err, EREMOTEIO, "systemd does not %s %s: %s",
				 out_text ? "know" : "reload", unit,
				 text[0] ? text : "no reason given");
	}
	return error_set(err, ETIMEDOUT, "no answer of systemd about %s", unit);
}

static int call(const char *method, const char *unit, const char *mode, char *out_text, size_t size,
		struct error *err)
{
	cleanup_fd int fd = -1;
	struct message message;
	char name[SYSTEMD_NAME_SIZE];
	int result;

	snprintf(name, sizeof(name), "%s%s", unit, strchr(unit, '.') ? "" : ".service");
	result = make_call(method, name, mode, &message, err);
	if (result == 0)
		result = connect_manager(&fd, err);
	if (result < 0)
		return result;
	result = send_all(fd, message.bytes, message.used);
	if (result < 0)
		return error_errno(err, -result, "cannot ask systemd about %s", name);
	return await_answer(fd, name, out_text, size, err);
}

int systemd_reload(const char *unit, struct error *err)
{
	return call("ReloadUnit", unit, "replace", NULL, 0, err);
}

static int digit(char text)
{
	if (text >= '0' && text <= '9')
		return text - '0';
	return text >= 'a' && text <= 'f' ? text - 'a' + 10 : -1;
}

/* Of a path like /org/freedesktop/systemd1/unit/nginx_2eservice: its last part is the name, with
 * what is neither letter nor digit in hexadecimal (bus_label_escape() of systemd). */
static bool decode(const char *path, char out[SYSTEMD_NAME_SIZE])
{
	static const char prefix[] = "/org/freedesktop/systemd1/unit/";
	const char *at = path + sizeof(prefix) - 1;
	size_t used = 0;

	if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
		return false;
	for (; *at && used + 1 < SYSTEMD_NAME_SIZE; at++) {
		int byte = *at;

		if (*at == '_') {
			if (digit(at[1]) < 0 || digit(at[2]) < 0)
				return false;
			byte = digit(at[1]) << 4 | digit(at[2]);
			at += 2;
		}
		if (!byte) /* the rest of the name would not be seen */
			return false;
		out[used++] = (char)byte;
	}
	out[used] = '\0';
	return used > 0 && !*at;
}

int systemd_find(const char *unit, char out[SYSTEMD_NAME_SIZE], struct error *err)
{
	char path[4 * SYSTEMD_NAME_SIZE], name[SYSTEMD_NAME_SIZE];
	int result = call("LoadUnit", unit, NULL, path, sizeof(path), err);

	if (result == 0 && !decode(path, name))
		return error_set(err, EPROTO, "systemd answers about %.100s what is not understood",
				 unit);
	if (result == 0)
		memcpy(out, name, sizeof(name));
	return result;
}
