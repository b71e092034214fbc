/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * HTTP/1 messages (RFC 9112), as far as a fault needs them: what is asked for, and where a message
 * ends. Pure functions over bytes of strangers. Whatever two readers could take for two things (two
 * lengths, a length beside chunks, folded lines, ...) is not understood, and then nothing is done
 * with it but to pass it on.
 */
#ifndef SQUALL_HTTP_MESSAGE_H
#define SQUALL_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_ANSWER_MAX 1024 /* what we make always fits */

struct http_text { /* a part of a message, not ended by NUL */
	const char *at;
	size_t size;
};

/* The bytes behind a head. Zeroed: there are none. */
enum http_framing { HTTP_NOTHING, HTTP_COUNTED, HTTP_CHUNKED, HTTP_UNTIL_CLOSE };
struct http_body {
	enum http_framing framing;
	unsigned state; /* of the chunks */
	uint64_t left;	/* of the body, or of this chunk */
};

struct http_request_head {
	struct http_text method, target, headers; /* headers: whole lines */
	struct http_body body;
	bool is_last;		 /* no other request comes on this connection */
	bool is_old;		 /* HTTP/1.0: it stays only if both say so */
	bool may_wait;		 /* Expect: the body comes only if the server wants it */
	bool is_changing;	 /* Upgrade: another protocol may follow */
	bool is_head, is_tunnel; /* HEAD; CONNECT */
};

struct http_response_head {
	unsigned status;
	struct http_text headers; /* whole lines */
	struct http_body body;
	bool is_interim; /* 1xx but 101: another one follows */
	bool is_last;	 /* it says that the connection ends behind it */
};

enum http_found {
	HTTP_WHOLE,   /* a head is there, of *out_size bytes */
	HTTP_PART,    /* it may become one */
	HTTP_STRANGE, /* it never will: not HTTP/1 */
};
/* `out_size` is written only when it is whole. */
enum http_found http_find_request(const uint8_t *bytes, size_t size, size_t *out_size);
enum http_found http_find_response(const uint8_t *bytes, size_t size, size_t *out_size);

/* Of a whole head. False: not understood. */
bool http_read_request(const uint8_t *bytes, size_t size, struct http_request_head *out);
/* `to_head`: it answers a HEAD request, and has no body whatever it says. */
bool http_read_response(const uint8_t *bytes, size_t size, bool to_head,
			struct http_response_head *out);

/* How many of these bytes belong to the body; *out_done: the last of them ends it. False: it is not
 * what it said it would be. */
bool http_body_take(struct http_body *body, const uint8_t *bytes, size_t size, size_t *out_taken,
		    bool *out_done);

/* All of a body without what stands between its bytes; `out` holds as many as there are. */
size_t http_body_strip(enum http_framing framing, const uint8_t *bytes, size_t size, uint8_t *out);

/* The next line of `headers`, which becomes what is behind it; false: there is none. */
bool http_next_header(struct http_text *headers, struct http_text *out_name,
		      struct http_text *out_value);
/* "*": any characters, "?": any one of them. */
bool http_glob_holds(const char *glob, struct http_text text, bool ignores_case);

/* Writes a whole response; `out` holds HTTP_ANSWER_MAX bytes. Nobody may keep it. */
size_t http_write_answer(unsigned status, const char *body, bool to_head, bool closes,
			 uint8_t *out);
const char *http_reason(unsigned status);

#endif
