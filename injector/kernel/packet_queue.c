/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/kernel/packet_queue.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/netlink.h"

#include <endian.h>
#include <netinet/in.h> /* before linux/: they share types */

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNTS "/proc/thread-self/net/netfilter/nfnetlink_queue"

/* Bytes of each packet that come: with some, the kernel says how many there are. */
#define COPIED 20
/* What a packet's message takes of the socket's buffer (its sk_buff and the page behind it, as
 * measured by how many fit). */
#define MESSAGE_CHARGE 1280
#define MESSAGE_SIZE   512

#define TYPE(message) (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | (message))

struct message {
	struct nlmsghdr header;
	struct nfgenmsg family;
	char attributes[64];
};

static void begin(struct message *message, const struct packet_queue *queue, uint16_t type,
		  uint16_t flags)
{
	*message = (struct message){
		.header = {.nlmsg_len = offsetof(struct message, attributes),
			   .nlmsg_type = TYPE(type),
			   .nlmsg_flags = NLM_F_REQUEST | flags},
		.family = {.nfgen_family = AF_UNSPEC, .res_id = htons(queue->number)}};
}

static void put(struct message *message, uint16_t type, const void *data, size_t size)
{
	char *at = (char *)message + message->header.nlmsg_len;

	memcpy(at, &(struct nlattr){.nla_len = (uint16_t)(NLA_HDRLEN + size), .nla_type = type},
	       NLA_HDRLEN);
	memcpy(at + NLA_HDRLEN, data, size);
	message->header.nlmsg_len += NLA_ALIGN(NLA_HDRLEN + size);
}

static int transmit(const struct packet_queue *queue, const struct message *message)
{
	ssize_t sent;

	do
		sent = send(queue->fd, message, message->header.nlmsg_len, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* One setting, and the kernel's answer; before anything is queued. */
static int configure(const struct packet_queue *queue, struct message *message, struct error *err)
{
	_Alignas(struct nlmsghdr) char answer[512];
	const struct nlmsghdr *header = (void *)answer;
	struct nlmsgerr verdict;
	ssize_t length;
	int result = transmit(queue, message);

	if (result < 0)
		return error_errno(err, -result, "cannot ask for a queue of packets");
	length = recv(queue->fd, answer, sizeof(answer), 0);
	if (length < (ssize_t)NLMSG_LENGTH(sizeof(verdict)) || header->nlmsg_type != NLMSG_ERROR)
		return error_set(err, EPROTO, "the kernel gave no answer about a queue of packets");
	memcpy(&verdict, NLMSG_DATA(header), sizeof(verdict));
	if (verdict.error > 0 || verdict.error < -4095)
		return error_set(err, EPROTO, "the kernel's answer is no error number");
	if (verdict.error)
		return error_errno(err, -verdict.error, "the kernel gives no queue of packets");
	return 0;
}

static int set_up(const struct packet_queue *queue, struct error *err)
{
	const struct nfqnl_msg_config_cmd bind_to = {.command = NFQNL_CFG_CMD_BIND,
						     .pf = htons(AF_INET)};
	const struct nfqnl_msg_config_params copies = {.copy_range = htonl(COPIED),
						       .copy_mode = NFQNL_COPY_PACKET};
	const uint32_t whole = htonl(NFQA_CFG_F_GSO);
	struct message message;
	int result;

	begin(&message, queue, NFQNL_MSG_CONFIG, NLM_F_ACK);
	put(&message, NFQA_CFG_CMD, &bind_to, sizeof(bind_to));
	result = configure(queue, &message, err);
	if (result < 0)
		return result;
	begin(&message, queue, NFQNL_MSG_CONFIG, NLM_F_ACK);
	put(&message, NFQA_CFG_PARAMS, &copies, sizeof(copies));
	put(&message, NFQA_CFG_FLAGS, &whole, sizeof(whole));
	put(&message, NFQA_CFG_MASK, &whole, sizeof(whole));
	return configure(queue, &message, err);
}

int packet_queue_open(struct packet_queue *queue, uint16_t number, unsigned unread,
		      struct error *err)
{
	const struct sockaddr_nl anywhere = {.nl_family = AF_NETLINK};
	const int size = (int)(unread * MESSAGE_CHARGE), on = 1;
	int result;

	*queue = (struct packet_queue){.count_fd = -1, .number = number};
	queue->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	/* a full socket is no error of it: what was dropped is counted elsewhere */
	if (queue->fd < 0 || bind(queue->fd, (const void *)&anywhere, sizeof(anywhere)) < 0 ||
	    setsockopt(queue->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
	    setsockopt(queue->fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on)) < 0)
		result = error_errno(err, errno, "cannot open a netlink socket");
	else
		result = set_up(queue, err);
	if (result == 0 && fcntl(queue->fd, F_SETFL, O_NONBLOCK) < 0)
		result = error_errno(err, errno, "netlink socket");
	if (result < 0)
		packet_queue_close(queue);
	else
		queue->count_fd = open(COUNTS, O_RDONLY | O_CLOEXEC);
	return result;
}

void packet_queue_close(struct packet_queue *queue)
{
	cleanup_fd_at(&queue->fd);
	cleanup_fd_at(&queue->count_fd);
	queue->fd = queue->count_fd = -1;
}

static bool parse(const struct nlmsghdr *header, struct held_packet *out)
{
	const struct nlattr *table[NFQA_CAP_LEN + 1];
	const struct nfqnl_msg_packet_hdr *packet;

	if (header->nlmsg_type != TYPE(NFQNL_MSG_PACKET) ||
	    header->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)))
		return false;
	netlink_attributes(header, sizeof(struct nfgenmsg), table, NFQA_CAP_LEN);
	packet = netlink_data(table[NFQA_PACKET_HDR], sizeof(*packet));
	if (!packet)
		return false;
	memcpy(&out->id, &packet->packet_id, sizeof(out->id));
	out->id = be32toh(out->id);
	/* it is said where it is more than what has come */
	out->length = be32toh(netlink_u32(table[NFQA_CAP_LEN],
					  htobe32((uint32_t)netlink_size(table[NFQA_PAYLOAD]))));
	return true;
}

int packet_queue_receive(const struct packet_queue *queue, struct held_packet *out)
{
	static _Thread_local _Alignas(struct nlmsghdr) char bytes[PACKET_QUEUE_BATCH][MESSAGE_SIZE];
	struct mmsghdr messages[PACKET_QUEUE_BATCH];
	struct iovec parts[PACKET_QUEUE_BATCH];
	int came, count = 0;

	for (unsigned i = 0; i < PACKET_QUEUE_BATCH; i++) {
		parts[i] = (struct iovec){bytes[i], MESSAGE_SIZE};
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
	}
	came = recvmmsg(queue->fd, messages, PACKET_QUEUE_BATCH, MSG_DONTWAIT, NULL);
	if (came < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -errno;
	for (int i = 0; i < came; i++) {
		const struct nlmsghdr *header = (void *)bytes[i];

		/* the kernel sends one a datagram */
		if (NLMSG_OK(header, messages[i].msg_len) && parse(header, &out[count]))
			count++;
	}
	return count;
}

static int decide(const struct packet_queue *queue, uint16_t how, uint32_t verdict, uint32_t id)
{
	const struct nfqnl_msg_verdict_hdr header = {.verdict = htonl(verdict), .id = htonl(id)};
	struct message message;

	begin(&message, queue, how, 0);
	put(&message, NFQA_VERDICT_HDR, &header, sizeof(header));
	return transmit(queue, &message);
}

int packet_queue_release(const struct packet_queue *queue, uint32_t last_id)
{
	return decide(queue, NFQNL_MSG_VERDICT_BATCH, NF_ACCEPT, last_id);
}

int packet_queue_drop(const struct packet_queue *queue, uint32_t id)
{
	return decide(queue, NFQNL_MSG_VERDICT, NF_DROP, id);
}

int packet_queue_limit(const struct packet_queue *queue, uint32_t packets)
{
	const uint32_t value = htonl(packets);
	struct message message;

	begin(&message, queue, NFQNL_MSG_CONFIG, 0);
	put(&message, NFQA_CFG_QUEUE_MAXLEN, &value, sizeof(value));
	return transmit(queue, &message);
}

/* A line for each queue (seq_show() of nfnetlink_queue.c). */
void packet_queue_drops(const struct packet_queue *queue, uint64_t *out_full, uint64_t *out_unread)
{
	char text[512] = "";
	unsigned number, full, unread;
	ssize_t length = -1;

	*out_full = *out_unread = 0;
	if (queue->count_fd >= 0)
		length = pread(queue->count_fd, text, sizeof(text) - 1, 0);
	if (length > 0 && sscanf(text, "%u %*u %*u %*u %*u %u %u", &number, &full, &unread) == 3 &&
	    number == queue->number) {
		*out_full = full;
		*out_unread = unread;
	}
}
