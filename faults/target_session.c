/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The connection the operator sits on must not be hit by his own experiment. It is the socket of
 * the sshd among our ancestors. Behind tmux, screen or a detached sudo there is no such ancestor:
 * then SSH_CONNECTION names it, our own or, as sudo takes it away, that of an ancestor, such as the
 * shell in the pane. Anybody may set it: it is believed only as far as the kernel knows exactly
 * that connection to be established.
 */
#include "faults/target_session.h"

#include "injector/base/cleanup.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANCESTORS_MAX 64
#define ESTABLISHED   1 /* TCP_ESTABLISHED in /proc/net/tcp, proc(5) */
#define SOCKETS_MAX   32
#define ENVIRON_MAX   (256 << 10) /* what is behind that is not looked at */

/* Name and parent from /proc/PID/stat; the name may itself contain parentheses. */
static bool read_stat(pid_t pid, char name[16], pid_t *out_parent)
{
	char path[64], line[512], *open_at, *close_at;
	cleanup_file FILE *file = NULL;
	int parent;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		return false;
	open_at = strchr(line, '(');
	close_at = strrchr(line, ')');
	if (!open_at || !close_at || close_at < open_at ||
	    sscanf(close_at + 1, " %*c %d", &parent) != 1)
		return false;
	*close_at = '\0';
	snprintf(name, 16, "%.15s", open_at + 1);
	*out_parent = parent;
	return true;
}

static unsigned socket_inodes(pid_t pid, unsigned long *out, unsigned capacity)
{
	char path[64];
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	unsigned count = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir && count < capacity && (entry = readdir(dir))) {
		char link[64];
		ssize_t length = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		if (length <= 0)
			continue;
		link[length] = '\0';
		if (sscanf(link, "socket:[%lu]", &out[count]) == 1)
			count++;
	}
	return count;
}

/* "0100007F" or 32 digits: words in host byte order. */
static bool parse_address(const char *text, uint8_t *out, int *out_family)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	size_t digits = strspn(text, "0123456789ABCDEFabcdef");
	uint8_t address[16] = {0};

	if (digits != 8 && digits != 32)
		return false;
	for (size_t word = 0; word < digits / 8; word++) {
		char part[9];
		uint32_t value;

		memcpy(part, text + word * 8, 8);
		part[8] = '\0';
		value = (uint32_t)strtoul(part, NULL, 16);
		memcpy(address + word * 4, &value, sizeof(value));
	}
	memset(out, 0, 16);
	*out_family = digits == 8 ? AF_INET : AF_INET6;
	if (digits == 32 && memcmp(address, mapped, sizeof(mapped)) == 0) {
		*out_family = AF_INET;
		memcpy(out, address + 12, 4);
	} else {
		memcpy(out, address, sizeof(address));
	}
	return true;
}

typedef bool (*connection_fn)(void *context, const struct session_connection *connection,
			      unsigned long inode);

/* Established TCP connections of the namespace that a process is in. */
static void each_connection(const char *path, connection_fn fn, void *context)
{
	cleanup_file FILE *file = fopen(path, "re");
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		char local[33], remote[33];
		unsigned local_port, remote_port, status;
		struct session_connection connection = {0};
		unsigned long inode;
		int family;

		if (sscanf(line,
			   " %*d: %32[0-9A-F]:%4x %32[0-9A-F]:%4x %2x %*s %*s %*s %*u %*u %lu",
			   local, &local_port, remote, &remote_port, &status, &inode) != 6 ||
		    status != ESTABLISHED ||
		    !parse_address(local, connection.local, &connection.family) ||
		    !parse_address(remote, connection.remote, &family) ||
		    family != connection.family)
			continue;
		connection.local_port = (uint16_t)local_port;
		connection.remote_port = (uint16_t)remote_port;
		if (!fn(context, &connection, inode))
			return;
	}
}

struct search {
	struct session_connection *out;
	unsigned capacity, count;
	const unsigned long *inodes;
	unsigned inode_count;
	const struct session_connection *wanted; /* instead of inodes */
};

static bool is_same_connection(const struct session_connection *a,
			       const struct session_connection *b)
{
	return a->family == b->family && a->local_port == b->local_port &&
	       a->remote_port == b->remote_port && memcmp(a->local, b->local, 16) == 0 &&
	       memcmp(a->remote, b->remote, 16) == 0;
}

static bool take_connection(void *context, const struct session_connection *connection,
			    unsigned long inode)
{
	struct search *search = context;
	bool is_match = search->wanted && is_same_connection(connection, search->wanted);

	for (unsigned i = 0; i < search->inode_count; i++)
		is_match |= search->inodes[i] == inode;
	for (unsigned i = 0; i < search->count; i++)
		if (is_same_connection(connection, &search->out[i]))
			is_match = false;
	if (is_match && search->count < search->capacity)
		search->out[search->count++] = *connection;
	return search->count < search->capacity;
}

static void search_process(pid_t pid, struct search *search)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/net/tcp", (int)pid);
	each_connection(path, take_connection, search);
	snprintf(path, sizeof(path), "/proc/%d/net/tcp6", (int)pid);
	each_connection(path, take_connection, search);
}

/* Of a link-local address the interface stands behind it: "fe80::1%eth0". */
static bool parse_end(char *address, unsigned port, int family, uint8_t *out)
{
	address[strcspn(address, "%")] = '\0';
	return port > 0 && port <= 65535 && inet_pton(family, address, out) == 1;
}

/* "CLIENT CLIENT_PORT SERVER SERVER_PORT" (ssh(1)). */
static bool parse_named(const char *text, struct session_connection *out)
{
	char client[64], server[64], rest;
	unsigned client_port, server_port;

	*out = (struct session_connection){.family = AF_INET};
	if (!text || strlen(text) > 192 ||
	    sscanf(text, "%63[^ ] %5u %63[^ ] %5u%c", client, &client_port, server, &server_port,
		   &rest) != 4)
		return false;
	if (strchr(client, ':'))
		out->family = AF_INET6;
	out->local_port = (uint16_t)server_port;
	out->remote_port = (uint16_t)client_port;
	return parse_end(client, client_port, out->family, out->remote) &&
	       parse_end(server, server_port, out->family, out->local);
}

/* The one that `text` names, if a process of that namespace could have it. */
static void search_named(pid_t pid, const char *text, struct search *search)
{
	struct session_connection named;

	if (!parse_named(text, &named))
		return;
	search->wanted = &named;
	search_process(pid, search);
	search->wanted = NULL;
}

/* It says what its owner likes. */
static void search_environment(pid_t pid, struct search *search)
{
	static const char name[] = "SSH_CONNECTION=";
	cleanup_free char *text = malloc(ENVIRON_MAX);
	cleanup_fd int fd = -1;
	size_t used = 0, length;
	char path[64];
	ssize_t more;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (!text || fd < 0)
		return;
	while (used < ENVIRON_MAX && (more = read(fd, text + used, ENVIRON_MAX - used)) > 0)
		used += (size_t)more;
	for (size_t at = 0; at < used; at += length + 1) {
		length = strnlen(text + at, used - at);
		if (at + length == used) /* cut off */
			return;
		if (strncmp(text + at, name, strlen(name)) != 0)
			continue;
		search_named(pid, text + at + strlen(name), search);
		return; /* as getenv() finds the first one */
	}
}

/* Who sits on this very machine (a tunnel, `ssh localhost`) has both ends of the connection here,
 * and what his end sends leaves by the same interface. */
static void add_other_ends(struct search *search)
{
	unsigned count = search->count;

	for (unsigned i = 0; i < count; i++) {
		const struct session_connection *one = &search->out[i];
		struct session_connection other = {.family = one->family,
						   .local_port = one->remote_port,
						   .remote_port = one->local_port};

		memcpy(other.local, one->remote, sizeof(other.local));
		memcpy(other.remote, one->local, sizeof(other.remote));
		search->wanted = &other;
		search_process(getpid(), search);
	}
	search->wanted = NULL;
}

/* An sshd has it. */
static void search_daemon(pid_t pid, const char *name, struct search *search)
{
	unsigned long inodes[SOCKETS_MAX];

	if (strncmp(name, "sshd", 4) != 0 || (name[4] && !strchr("-:", name[4])))
		return;
	search->inodes = inodes;
	search->inode_count = socket_inodes(pid, inodes, SOCKETS_MAX);
	search_process(pid, search);
	search->inode_count = 0;
}

static void search_ancestors(bool by_name, struct search *search)
{
	pid_t pid = getpid();
	char name[16];

	for (unsigned i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
		pid_t parent;

		if (!read_stat(pid, name, &parent))
			break;
		if (by_name)
			search_environment(pid, search);
		else
			search_daemon(pid, name, search);
		if (by_name && search->count > 0) /* the nearest one knows best */
			return;
		pid = parent;
	}
}

unsigned target_session_find(struct session_connection *out, unsigned capacity)
{
	struct search search = {.out = out, .capacity = capacity};

	search_ancestors(false, &search);
	if (search.count == 0)
		search_named(getpid(), getenv("SSH_CONNECTION"), &search);
	if (search.count == 0)
		search_ancestors(true, &search);
	add_other_ends(&search);
	return search.count;
}
