/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/http_lane.h"

#include <errno.h>
#include <sys/socket.h>

size_t http_lane_room(struct http_lane *lane)
{
	http_lane_compact(lane);
	return lane->used < HTTP_LANE_SIZE ? HTTP_LANE_SIZE - lane->used : 0;
}

bool http_lane_flush(struct http_lane *lane, int fd)
{
	while (lane->start < lane->clear) {
		ssize_t sent = send(fd, lane->bytes + lane->start, lane->clear - lane->start,
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		lane->start += (size_t)sent;
	}
	return true;
}

bool http_lane_fill(struct http_lane *lane, int fd)
{
	size_t free_bytes = http_lane_room(lane);
	ssize_t size;

	if (!free_bytes || lane->has_ended)
		return true;
	size = recv(fd, lane->bytes + lane->used, free_bytes, MSG_DONTWAIT);
	if (size < 0)
		return errno == EAGAIN || errno == EINTR;
	lane->used += (size_t)size;
	lane->has_ended = size == 0;
	return true;
}
