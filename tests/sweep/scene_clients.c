/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who asks while a redirection is in force: for names, and for pages. Always from the same ports,
 * so that what the kernel keeps in mind of such a flow would be met by the next one. Pages are of
 * another place than the one whose distance is measured.
 */
#include "tests/sweep/scene.h"

#include "injector/kernel/namespace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMES_FROM 30001 /* outside of the few that the scene leaves for everybody */
#define PAGES_FROM 30002
#define LOCAL_FROM 30003 /* of the servers' own machine */
#define NAMES_AT   53
#define PAUSE_US   3000
#define PATIENCE   5 /* ms */

static const char client[] = "10.88.0.1", here[] = "127.0.0.1";
static const char *const servers[] = {"10.88.0.2", "10.88.0.3"};

static struct sockaddr_in place(const char *address, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, address, &at.sin_addr);
	return at;
}

/* Sends `text` and waits a moment for any answer. Closed at once: with a reset, of TCP. */
static void ask(int type, const char *own, uint16_t from, const char *server, uint16_t port,
		const void *text, size_t size)
{
	const struct linger none = {.l_onoff = 1};
	const int on = 1;
	struct sockaddr_in near = place(own, from), far = place(server, port);
	struct pollfd polled = {.fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
	char answer[512];

	setsockopt(polled.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(polled.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	if (bind(polled.fd, (void *)&near, sizeof(near)) == 0 &&
	    (connect(polled.fd, (void *)&far, sizeof(far)) == 0 || errno == EINPROGRESS)) {
		polled.events = POLLOUT;
		if (poll(&polled, 1, PATIENCE) > 0 &&
		    send(polled.fd, text, size, MSG_NOSIGNAL) > 0) {
			polled.events = POLLIN;
			if (poll(&polled, 1, PATIENCE) > 0)
				(void)!recv(polled.fd, answer, sizeof(answer), 0);
		}
	}
	close(polled.fd);
}

static int start(void *context, struct error *err)
{
	static const char page[] = "GET /a HTTP/1.1\r\nHost: lab\r\n\r\n";
	/* its number, that recursion is desired, one question: www.lab, A, IN */
	static const uint8_t name[] = {0,   7,	 1,   0, 0,   1,   0,	0, 0, 0, 0, 0, 3,
				       'w', 'w', 'w', 3, 'l', 'a', 'b', 0, 0, 1, 0, 1};
	pid_t pid = fork();

	(void)context;
	if (pid)
		return pid < 0 ? error_errno(err, errno, "clients") : pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned at = 0;; at = !at) {
		ask(SOCK_DGRAM, client, NAMES_FROM, servers[at], NAMES_AT, name, sizeof(name));
		ask(SOCK_STREAM, client, PAGES_FROM, servers[0], NETLAB_OTHER_PORT, page,
		    sizeof(page) - 1);
		ask(SOCK_STREAM, here, LOCAL_FROM, here, NETLAB_PORT, page, sizeof(page) - 1);
		usleep(PAUSE_US);
	}
}

void scene_start_clients(struct scene *scene)
{
	struct error err = ERROR_INIT;

	if (!scene->has_clients || scene->clients > 0)
		return;
	scene->clients = namespace_run(scene->lab->near_fd, start, NULL, &err);
	if (scene->clients < 0)
		abort();
}

void scene_end_clients(struct scene *scene)
{
	if (scene->clients <= 0)
		return;
	kill(scene->clients, SIGKILL);
	waitpid(scene->clients, NULL, __WALL);
	scene->clients = 0;
}
