/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A message in the system's log. Not by syslog(3), which waits for a logger that does not read: one
 * datagram, RFC 3164, that is taken or not.
 */
#include "injector/run/notify_internal.h"

#include "injector/base/cleanup.h"
#include "injector/experiment/format.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

static int syslog_open(struct notify_way *way, struct error *err)
{
	(void)err;
	snprintf(way->name, sizeof(way->name), "syslog %s",
		 params_text(&way->spec->params, NOTIFY_PARAM_SYSLOG));
	return 0;
}

static void syslog_send(struct notify_way *way, const char *body)
{
	const struct sockaddr_un log = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int level = (int)params_number(&way->spec->params, NOTIFY_PARAM_SYSLOG, LOG_NOTICE);
	cleanup_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char line[900], trouble[64];
	int length = snprintf(line, sizeof(line), "<%d>squall[%d]: %s", LOG_USER | level,
			      (int)getpid(), body);

	if (length >= (int)sizeof(line))
		length = (int)sizeof(line) - 1;
	if (fd >= 0 && sendto(fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL,
			      (const struct sockaddr *)&log, sizeof(log)) == length) {
		notify_sent(way, NULL);
		return;
	}
	snprintf(trouble, sizeof(trouble), "/dev/log: %s", strerror(errno));
	notify_sent(way, trouble);
}

/* It is sent or not at once: there is never one to cancel. */
static void syslog_cancel(struct notify_way *way)
{
	(void)way;
}

const struct notify_way_ops notify_syslog = {
	.open = syslog_open,
	.send = syslog_send,
	.cancel = syslog_cancel,
};
