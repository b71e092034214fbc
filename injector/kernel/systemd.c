/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Just enough of the D-Bus protocol (D-Bus Specification, "Message Protocol"): one method call and
 * its answer, in this machine's byte order, bounded in size and time.
 */
#include "injector/kernel/systemd.h"

#include "injector/base/alive.h"
#include "injector/base/clock.h"
#include "injector/base/printable.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX 4096       /* of ours; of its own it is what is kept, the rest is passed over */
#define LARGEST	    (1U << 27) /* message of all (D-Bus Specification, "Message Format") */
/* Of a whole call: less than half of what guardian and conductor wait for a worker that runs (two
 * calls make a reload), and more than a busy machine needs. */
#define PATIENCE_S 3
/* Who has been silent is not asked again for so long: restoring looks and tries more than once. */
#define QUIET_NS (2 * NSEC_PER_SEC)

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

static int64_t quiet_until_ns;

void systemd_set_socket(const char *path)
{
	socket_path = path;
	quiet_until_ns = 0;
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

/* A connection, and until when it is worth while. */
struct talk {
	int fd;
	int64_t until_ns;
};

static int send_all(const struct talk *talk, const void *bytes, size_t size)
{
	ssize_t sent = send(talk->fd, bytes, size, MSG_NOSIGNAL);

	return sent < 0 ? -errno : (size_t)sent == size ? 0 : -EPIPE;
}

static int receive_all(const struct talk *talk, void *bytes, size_t size)
{
	while (size > 0) {
		int64_t left_ms = (talk->until_ns - clock_now_ns()) / NSEC_PER_MSEC;
		struct pollfd readable = {.fd = talk->fd, .events = POLLIN};
		ssize_t got;

		if (left_ms < 0)
			return -ETIMEDOUT;
		alive();
		if (poll(&readable, 1, left_ms < ALIVE_MS ? (int)left_ms + 1 : ALIVE_MS) <= 0)
			continue;
		got = recv(talk->fd, bytes, size, MSG_DONTWAIT);
		if (got == 0)
			return -EPIPE;
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (got > 0) {
			bytes = (uint8_t *)bytes + got;
			size -= (size_t)got;
		}
	}
	return 0;
}

static int pass_over(const struct talk *talk, size_t size)
{
	uint8_t some[1024];
	int result = 0;

	while (result == 0 && size > 0) {
		size_t chunk = size < sizeof(some) ? size : sizeof(some);

		result = receive_all(talk, some, chunk);
		size -= chunk;
	}
	return result;
}

/* "\0AUTH EXTERNAL <our user in hexadecimal>" and "BEGIN" at once; "OK ...". What follows BEGIN
 * must not come before the OK: systemd may read both at a time, and then looks at its descriptor,
 * where nothing comes any more, and not at what it has read (sd-bus, bus_socket_read_auth(); seen).
 */
static int authenticate(const struct talk *talk)
{
	char line[128], user[16];
	int result, length;
	size_t used = 0;

	snprintf(user, sizeof(user), "%u", geteuid());
	length = snprintf(line, sizeof(line), "%cAUTH EXTERNAL ", '\0');
	for (const char *digit = user; *digit; digit++)
		length += snprintf(line + length, sizeof(line) - (size_t)length, "%02x", *digit);
	length += snprintf(line + length, sizeof(line) - (size_t)length, "\r\nBEGIN\r\n");
	result = send_all(talk, line, (size_t)length);
	while (result == 0 && used + 1 < sizeof(line) &&
	       (used == 0 || line[used - 1] != '\n')) /* byte by byte: a message may follow */
		result = receive_all(talk, line + used++, 1);
	if (result == 0 && (strncmp(line, "OK", 2) != 0 || line[used - 1] != '\n'))
		result = -EACCES;
	return result;
}

static int say_no_answer(int result, const char *unit, struct error *err)
{
	if (result == -ETIMEDOUT || result == -EAGAIN) {
		quiet_until_ns = clock_now_ns() + QUIET_NS;
		return error_set(err, ETIMEDOUT, "no answer of systemd about %s within %d s", unit,
				 PATIENCE_S);
	}
	return error_errno(err, -result, "no answer of systemd about %s", unit);
}

/* The descriptor is the caller's, also after an error. */
static int connect_manager(struct talk *talk, const char *unit, struct error *err)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int result;

	talk->until_ns = clock_now_ns() + PATIENCE_S * NSEC_PER_SEC;
	talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* connecting waits for room among those whom it has not yet taken, as sending does */
	if (talk->fd < 0 ||
	    setsockopt(talk->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return error_errno(err, errno, "cannot reach the service manager");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	if (connect(talk->fd, (const void *)&address, sizeof(address)) < 0) {
		if (errno == EAGAIN)
			return say_no_answer(-EAGAIN, unit, err);
		result = errno == ECONNREFUSED ? ENOENT : errno;
		error_errno(err, result, "cannot reach systemd at %s", socket_path);
		error_remedy(err, "without systemd: reload-pidfile and reload-signal");
		return -result;
	}
	result = authenticate(talk);
	if (result == -ETIMEDOUT || result == -EAGAIN)
		return say_no_answer(result, unit, err);
	return result < 0 ? error_errno(err, -result, "systemd does not talk to this process") : 0;
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

/* One message; of its body what `rest` holds behind the header's fields. */
static int receive(const struct talk *talk, struct fixed_header *header, uint8_t rest[MESSAGE_MAX],
		   size_t *out_fields, size_t *out_body)
{
	int result = receive_all(talk, header, sizeof(*header));
	size_t fields = ((size_t)header->fields_size + 7) & ~(size_t)7, all, kept;

	if (result < 0)
		return result;
	all = fields + header->body_size;
	if (header->fields_size > LARGEST || header->body_size > LARGEST || all > LARGEST)
		return -EMSGSIZE;
	kept = all < MESSAGE_MAX ? all : MESSAGE_MAX;
	result = receive_all(talk, rest, kept);
	if (result == 0)
		result = pass_over(talk, all - kept);
	*out_fields = fields < kept ? fields : kept;
	*out_body = kept - *out_fields;
	return result;
}

/* out_text may be NULL: the first value of the answer, which is a text. Before it comes what
 * systemd tells everybody at its private socket: any number of signals, of any size. */
static int await_answer(const struct talk *talk, const char *unit, char *out_text, size_t size,
			struct error *err)
{
	uint8_t rest[MESSAGE_MAX];
	struct fixed_header header = {0};
	size_t fields = 0, body = 0;
	char text[300];

	while (header.type != METHOD_RETURN && header.type != METHOD_ERROR) {
		int result = receive(talk, &header, rest, &fields, &body);

		if (result < 0)
			return say_no_answer(result, unit, err);
	}
	if (header.type == METHOD_RETURN) {
		if (out_text)
			take_text(rest + fields, body, out_text, size);
		return 0;
	}
	take_text(rest + fields, body, text, sizeof(text));
	return error_set(err, EREMOTEIO, "systemd does not %s %s: %s", out_text ? "know" : "reload",
			 unit, text[0] ? text : "no reason given");
}

static int call(const char *method, const char *unit, const char *mode, char *out_text, size_t size,
		struct error *err)
{
	struct talk talk = {.fd = -1};
	struct message message;
	char name[SYSTEMD_NAME_SIZE];
	int result;

	snprintf(name, sizeof(name), "%s%s", unit, strchr(unit, '.') ? "" : ".service");
	if (clock_now_ns() < quiet_until_ns)
		return error_set(err, ETIMEDOUT, "no answer of systemd about %s within %d s", name,
				 PATIENCE_S);
	result = make_call(method, name, mode, &message, err);
	if (result == 0)
		result = connect_manager(&talk, name, err);
	if (result == 0) {
		result = send_all(&talk, message.bytes, message.used);
		if (result < 0)
			error_errno(err, -result, "cannot ask systemd about %s", name);
	}
	if (result == 0)
		result = await_answer(&talk, name, out_text, size, err);
	if (talk.fd >= 0)
		close(talk.fd);
	return result;
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
