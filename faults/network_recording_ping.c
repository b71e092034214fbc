/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Output of ping, in any language: an answer is a line with the number of the round trip (or a
 * TTL) and a number right before "ms"; what is lost is told by ping's own count, or else by numbers
 * that no answer has.
 */
#include "faults/network_recording.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number of one goes round at 16 bits. */
#define NUMBERS 65536ULL

void recording_end_ping(struct recording *recording)
{
	struct recording_ping *ping = &recording->ping;
	uint64_t base = ping->base < ping->first ? ping->base : ping->first;
	uint64_t sent = ping->has_numbers ? ping->last - base + 1 : 0;

	if (!ping->has_header)
		sent = ping->has_numbers ? ping->last - ping->first + 1 : 0;
	if (ping->has_statistics)
		recording->lost += ping->sent - ping->received;
	else if (ping->has_numbers && !ping->is_fping)
		recording->lost += sent > ping->answered ? sent - ping->answered : 0;
	else
		recording->lost += ping->told_lost;
	*ping = (struct recording_ping){.is_on = ping->is_on};
}

/* The number of the round trip that a line is of: "icmp_seq=3", busybox's "seq=3", macOS's
 * "icmp_seq 3". */
static bool find_number(const char *line, uint64_t *out, bool *out_from_0)
{
	const char *at = strstr(line, "icmp_seq");
	size_t digits;

	*out_from_0 = !at;
	at = at ? at + strlen("icmp_seq") : strstr(line, " seq=");
	if (!at)
		return false;
	at += *out_from_0 ? strlen(" seq=") : *at != '\0';
	digits = strspn(at, "0123456789");
	if (!digits || digits > 9)
		return false;
	*out = strtoull(at, NULL, 10);
	return true;
}

/* The number right before " ms" or "ms", behind '=', '<' or a blank; NULL: there is none. */
static const char *find_time(const char *line)
{
	for (const char *at = line; (at = strstr(at, "ms")); at++) {
		const char *end = at, *begin;

		if (isalnum((unsigned char)at[2]))
			continue;
		while (end > line && end[-1] == ' ')
			end--;
		for (begin = end; begin > line && strchr("0123456789.,", begin[-1]);)
			begin--;
		if (begin < end && begin > line && strchr("=< ", begin[-1]) &&
		    isdigit((unsigned char)*begin))
			return begin;
	}
	return NULL;
}

/* In languages with a decimal comma it has one. */
static int add_time(struct recording *recording, const char *time, struct error *err)
{
	char text[40];

	snprintf(text, sizeof(text), "%.*s", (int)strspn(time, "0123456789.,"), time);
	if (strchr(text, ','))
		*strchr(text, ',') = '.';
	return recording_add(recording, text, "ms", err);
}

/* Behind "time=" at the beginning of a word, as ping has it: not that of "request_time=". */
static char *find_word(char *line)
{
	for (char *at = line; (at = strstr(at, "time=")); at++)
		if (at == line || at[-1] == ' ' || at[-1] == '\t')
			return at + strlen("time=");
	return NULL;
}

/* "time=12.3", "time=12.3 ms (DUP!)" */
static int add_word(struct recording *recording, const char *word, struct error *err)
{
	size_t length = strcspn(word, " \t");
	char text[64];

	if (word[length] && isalpha((unsigned char)word[length + 1]))
		length += 1 + strcspn(word + length + 1, " \t,(");
	snprintf(text, sizeof(text), "%.*s", length < 60 ? (int)length : 60, word);
	return recording_add(recording, text, "ms", err);
}

/* Goes on over the end of 16 bits. */
static void count_number(struct recording_ping *ping, uint64_t number, bool from_0)
{
	if (ping->has_numbers && number < NUMBERS && number + NUMBERS / 2 < ping->last)
		number += (ping->last - number + NUMBERS / 2) / NUMBERS * NUMBERS;
	if (!ping->has_numbers || number < ping->first)
		ping->first = number;
	if (!ping->has_numbers || number > ping->last)
		ping->last = number;
	if (!ping->has_numbers)
		ping->base = from_0 ? 0 : 1;
	ping->has_numbers = true;
}

static int take_numbered(struct recording *recording, char *line, uint64_t number, bool from_0,
			 struct error *err)
{
	struct recording_ping *ping = &recording->ping;
	const char *time = find_time(line);
	char *word = find_word(line);

	ping->is_on = true;
	count_number(ping, number, from_0);
	/* an answer of a packet that is too small for a time has none */
	if ((time || word || strstr(line, "ttl=")) && !strstr(line, "DUP!"))
		ping->answered++;
	if (time)
		return add_time(recording, time, err);
	return word ? add_word(recording, word, err) : 0;
}

/* "10.0.0.1 : [0], 64 bytes, 12.3 ms (12.3 avg, 0% loss)" or "10.0.0.1 : [1], timed out" */
static bool is_of_fping(const char *line)
{
	const char *at = strstr(line, " : [");

	return at && isdigit((unsigned char)at[4]) && at[4 + strspn(at + 4, "0123456789")] == ']';
}

static int take_fping(struct recording *recording, const char *line, struct error *err)
{
	const char *time = find_time(line);

	recording->ping.is_on = recording->ping.is_fping = true;
	if (time)
		return add_time(recording, time, err);
	recording->ping.told_lost++;
	return 0;
}

/* "4 packets transmitted, 2 received, 50% packet loss", "Packets: Sent = 4, Received = 2, Lost = 2
 * (50% loss)", in any language: the first two numbers before a share. What ping says when it is
 * asked on its way ("3/4 packets, 25% loss") is not that. */
static void take_statistics(struct recording_ping *ping, const char *line)
{
	uint64_t numbers[2] = {0};
	unsigned count = 0;

	for (const char *at = line; *at && *at != '%' && count < 2;) {
		size_t length = strspn(at, "0123456789");

		if (!length) {
			at++;
			continue;
		}
		if (length > 9 || at[length] == '/' || at[length] == '%' || at[length] == '.')
			return;
		numbers[count++] = strtoull(at, NULL, 10);
		at += length;
	}
	if (count < 2 || numbers[1] > numbers[0])
		return;
	ping->has_statistics = true;
	ping->sent = numbers[0];
	ping->received = numbers[1];
}

static bool tells_loss(const char *line)
{
	return strcasestr(line, "timed out") || strcasestr(line, "timeout") ||
	       strcasestr(line, "unreachable");
}

/* Windows ends it with a line that begins so as well. */
static bool begins_ping(const char *line, bool is_on)
{
	return strncmp(line, "PING ", 5) == 0 || strncmp(line, "Pinging ", 8) == 0 ||
	       (!is_on && strncasecmp(line, "ping ", 5) == 0);
}

int recording_take_ping(struct recording *recording, char *line, struct error *err)
{
	struct recording_ping *ping = &recording->ping;
	const char *time = find_time(line);
	char *word = find_word(line);
	uint64_t number;
	bool from_0;
	int result = 0;

	if (begins_ping(line, ping->is_on)) {
		recording_end_ping(recording);
		ping->is_on = ping->has_header = true;
	} else if (find_number(line, &number, &from_0)) {
		result = take_numbered(recording, line, number, from_0, err);
	} else if (is_of_fping(line)) {
		result = take_fping(recording, line, err);
	} else if (time && strstr(line, "TTL=")) {
		ping->is_on = true;
		result = add_time(recording, time, err);
	} else if (word) {
		ping->is_on = true;
		result = add_word(recording, word, err);
	} else if (!ping->is_on) {
		return 0;
	} else if (strchr(line, '%') && !ping->is_fping && strncmp(line, "---", 3) != 0) {
		take_statistics(ping, line);
	} else if (tells_loss(line) && !ping->is_fping) {
		ping->told_lost++;
	}
	return result < 0 ? result : 1;
}
