/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/http_json.h"

#include <string.h>

struct reader {
	const uint8_t *at, *end;
};

static struct reader reader_of(struct http_text text)
{
	const uint8_t *at = (const uint8_t *)text.at;

	return (struct reader){at, at + text.size};
}

static struct http_text text_between(const uint8_t *from, const uint8_t *to)
{
	return (struct http_text){(const char *)from, (size_t)(to - from)};
}

static void skip_blanks(struct reader *reader)
{
	while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' ||
					    *reader->at == '\n' || *reader->at == '\r'))
		reader->at++;
}

static bool take(struct reader *reader, uint8_t wanted)
{
	if (reader->at == reader->end || *reader->at != wanted)
		return false;
	reader->at++;
	return true;
}

/* Characters. */

/* One of UTF-8 in its only form (RFC 3629); false: it is none. */
static bool take_utf8(struct reader *reader, uint32_t *out)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	uint8_t first = *reader->at++;
	unsigned more = first < 0x80		 ? 0
			: (first & 0xe0) == 0xc0 ? 1
			: (first & 0xf0) == 0xe0 ? 2
			: (first & 0xf8) == 0xf0 ? 3
						 : 4;
	uint32_t code = more ? first & (0x3fU >> more) : first;

	if (more > 3)
		return false;
	for (unsigned i = 0; i < more; i++) {
		if (reader->at == reader->end || (*reader->at & 0xc0) != 0x80)
			return false;
		code = code << 6 | (*reader->at++ & 0x3f);
	}
	*out = code;
	return code >= least[more] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

static bool take_unit(struct reader *reader, uint32_t *out)
{
	uint32_t unit = 0;

	for (unsigned i = 0; i < 4; i++) {
		uint8_t c = reader->at < reader->end ? *reader->at++ : 0, small = c | 0x20;

		if (c >= '0' && c <= '9')
			unit = unit << 4 | (uint32_t)(c - '0');
		else if (small >= 'a' && small <= 'f')
			unit = unit << 4 | (uint32_t)(small - 'a' + 10);
		else
			return false;
	}
	*out = unit;
	return true;
}

/* Behind "\". Two halves are one character; a half alone stays one. */
static bool take_escape(struct reader *reader, uint32_t *out)
{
	static const char names[] = "\"\\/bfnrt", codes[] = "\"\\/\b\f\n\r\t";
	struct reader ahead;
	const char *name;
	uint32_t low;

	if (reader->at == reader->end)
		return false;
	name = *reader->at ? strchr(names, *reader->at) : NULL;
	if (name) {
		reader->at++;
		*out = (uint8_t)codes[name - names];
		return true;
	}
	if (!take(reader, 'u') || !take_unit(reader, out))
		return false;
	ahead = *reader;
	if (*out >= 0xd800 && *out < 0xdc00 && take(&ahead, '\\') && take(&ahead, 'u') &&
	    take_unit(&ahead, &low) && low >= 0xdc00 && low < 0xe000) {
		*out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
		*reader = ahead;
	}
	return true;
}

/* Of a string, of which something is left. */
static bool take_character(struct reader *reader, uint32_t *out)
{
	if (*reader->at < ' ')
		return false;
	if (take(reader, '\\'))
		return take_escape(reader, out);
	return take_utf8(reader, out);
}

/* Values. */

static bool take_string(struct reader *reader)
{
	uint32_t ignored;

	if (!take(reader, '"'))
		return false;
	while (reader->at < reader->end && *reader->at != '"')
		if (!take_character(reader, &ignored))
			return false;
	return take(reader, '"');
}

static bool take_digits(struct reader *reader)
{
	const uint8_t *start = reader->at;

	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
		reader->at++;
	return reader->at > start;
}

static bool take_number(struct reader *reader)
{
	take(reader, '-');
	if (!take(reader, '0') && !take_digits(reader))
		return false;
	if (take(reader, '.') && !take_digits(reader))
		return false;
	if (!take(reader, 'e') && !take(reader, 'E'))
		return true;
	if (!take(reader, '+'))
		take(reader, '-');
	return take_digits(reader);
}

static bool take_word(struct reader *reader)
{
	static const char *const words[] = {"true", "false", "null"};

	for (unsigned i = 0; i < 3; i++) {
		size_t size = strlen(words[i]);

		if ((size_t)(reader->end - reader->at) >= size &&
		    memcmp(reader->at, words[i], size) == 0) {
			reader->at += size;
			return true;
		}
	}
	return false;
}

static bool take_scalar(struct reader *reader)
{
	if (reader->at < reader->end && *reader->at == '"')
		return take_string(reader);
	return take_word(reader) || take_number(reader);
}

/* "name" : */
static bool take_name(struct reader *reader)
{
	skip_blanks(reader);
	if (!take_string(reader))
		return false;
	skip_blanks(reader);
	return take(reader, ':');
}

/* A whole value. What it is in is kept in a bit each, not on the stack: strangers say how deep. */
static bool take_value(struct reader *reader, unsigned depth_max)
{
	uint8_t are_objects[HTTP_JSON_DEPTH_MAX] = {0};
	unsigned depth = 0;

	for (;;) {
		bool is_object;

		skip_blanks(reader);
		if (reader->at < reader->end && (*reader->at == '{' || *reader->at == '[')) {
			if (depth == depth_max)
				return false;
			is_object = *reader->at++ == '{';
			are_objects[depth++] = is_object;
			skip_blanks(reader);
			if (!take(reader, is_object ? '}' : ']')) {
				if (is_object && !take_name(reader))
					return false;
				continue;
			}
			depth--;
		} else if (!take_scalar(reader)) {
			return false;
		}
		while (depth) { /* a value has ended */
			skip_blanks(reader);
			is_object = are_objects[depth - 1];
			if (take(reader, ',')) {
				if (is_object && !take_name(reader))
					return false;
				break;
			}
			if (!take(reader, is_object ? '}' : ']'))
				return false;
			depth--;
		}
		if (!depth)
			return true;
	}
}

static bool is_sound(struct http_text text, unsigned depth_max)
{
	struct reader reader = reader_of(text);

	if (!take_value(&reader, depth_max))
		return false;
	skip_blanks(&reader);
	return reader.at == reader.end;
}

bool http_json_is_sound(struct http_text text)
{
	return is_sound(text, HTTP_JSON_DEPTH_MAX);
}

/* Objects, in a text that is sound. */

struct member {
	struct http_text name;	/* without its quotes */
	struct http_text value; /* without blanks around it */
	struct http_text whole; /* with all between the commas */
};

static bool is_object(struct http_text value)
{
	return value.size && value.at[0] == '{';
}

/* Behind "{" or ",". False: there is none. */
static bool next_member(struct reader *reader, struct member *out)
{
	const uint8_t *start = reader->at, *from;

	skip_blanks(reader);
	from = reader->at + 1;
	if (!take_string(reader))
		return false;
	out->name = text_between(from, reader->at - 1);
	skip_blanks(reader);
	take(reader, ':');
	skip_blanks(reader);
	from = reader->at;
	if (!take_value(reader, HTTP_JSON_DEPTH_MAX))
		return false;
	out->value = text_between(from, reader->at);
	skip_blanks(reader);
	out->whole = text_between(start, reader->at);
	take(reader, ',');
	return true;
}

static bool is_name(struct http_text one, struct http_text other)
{
	struct reader a = reader_of(one), b = reader_of(other);
	uint32_t in_a = 0, in_b = 0;

	while (a.at < a.end && b.at < b.end)
		if (!take_character(&a, &in_a) || !take_character(&b, &in_b) || in_a != in_b)
			return false;
	return a.at == a.end && b.at == b.end;
}

static bool is_null(struct http_text value)
{
	return value.size && value.at[0] == 'n';
}

/* What a patch says of one object. */
struct patch {
	struct member members[HTTP_PATCH_VALUES_MAX];
	bool are_found[HTTP_PATCH_VALUES_MAX];
	unsigned count;
};

static unsigned find_member(const struct patch *patch, struct http_text name)
{
	unsigned at = 0;

	while (at < patch->count && !is_name(patch->members[at].name, name))
		at++;
	return at;
}

/* False: too many of them, or one twice. */
static bool read_patch(struct http_text text, struct patch *out)
{
	struct reader reader = reader_of(text);
	struct member member;

	out->count = 0;
	memset(out->are_found, 0, sizeof(out->are_found));
	take(&reader, '{');
	while (next_member(&reader, &member)) {
		if (out->count == HTTP_PATCH_VALUES_MAX ||
		    find_member(out, member.name) < out->count)
			return false;
		out->members[out->count++] = member;
	}
	return true;
}

static bool are_patches(struct http_text text)
{
	struct patch patch;

	if (!read_patch(text, &patch))
		return false;
	for (unsigned i = 0; i < patch.count; i++)
		if (is_object(patch.members[i].value) && !are_patches(patch.members[i].value))
			return false;
	return true;
}

static struct http_text trimmed(struct http_text text)
{
	struct reader reader = reader_of(text);

	skip_blanks(&reader);
	while (reader.end > reader.at && strchr(" \t\r\n", reader.end[-1]))
		reader.end--;
	return text_between(reader.at, reader.end);
}

bool http_json_is_patch(struct http_text text)
{
	return is_sound(text, HTTP_PATCH_DEPTH_MAX) && is_object(trimmed(text)) &&
	       are_patches(trimmed(text));
}

/* Merging. */

struct writer {
	uint8_t *out;
	size_t used, room;
	bool has_failed;
};

static void put(struct writer *writer, struct http_text text)
{
	if (text.size > writer->room - writer->used) {
		writer->has_failed = true;
		return;
	}
	if (text.size)
		memcpy(writer->out + writer->used, text.at, text.size);
	writer->used += text.size;
}

static void put_between(struct writer *writer, bool *has_begun)
{
	put(writer, (struct http_text){",", *has_begun});
	*has_begun = true;
}

static void merge(struct writer *writer, struct http_text value, struct http_text with);

/* One of what is there. */
static void merge_member(struct writer *writer, const struct member *member, struct patch *patch,
			 bool *has_begun)
{
	const char *behind = member->value.at + member->value.size;
	unsigned at = find_member(patch, member->name);

	if (at == patch->count) {
		put_between(writer, has_begun);
		put(writer, member->whole);
		return;
	}
	writer->has_failed |= patch->are_found[at]; /* who reads it may take either of them */
	patch->are_found[at] = true;
	if (is_null(patch->members[at].value))
		return;
	put_between(writer, has_begun);
	put(writer,
	    (struct http_text){member->whole.at, (size_t)(member->value.at - member->whole.at)});
	merge(writer, member->value, patch->members[at].value);
	put(writer,
	    (struct http_text){behind, (size_t)(member->whole.at + member->whole.size - behind)});
}

/* `value` empty: nothing is there. */
static void merge(struct writer *writer, struct http_text value, struct http_text with)
{
	struct reader reader = reader_of(value);
	struct patch patch;
	struct member member;
	bool has_begun = false;

	if (!is_object(with) || !read_patch(with, &patch)) {
		put(writer, with);
		return;
	}
	put(writer, (struct http_text){"{", 1});
	if (take(&reader, '{'))
		while (!writer->has_failed && next_member(&reader, &member))
			merge_member(writer, &member, &patch, &has_begun);
	for (unsigned i = 0; i < patch.count; i++) {
		const struct member *added = &patch.members[i];

		if (patch.are_found[i] || is_null(added->value))
			continue;
		put_between(writer, &has_begun);
		put(writer, (struct http_text){added->name.at - 1, added->name.size + 2});
		put(writer, (struct http_text){":", 1});
		merge(writer, (struct http_text){"", 0}, added->value);
	}
	put(writer, (struct http_text){"}", 1});
}

bool http_json_merge(struct http_text text, struct http_text patch, uint8_t *out, size_t room,
		     size_t *out_size)
{
	struct writer writer = {.out = out, .room = room};

	if (!http_json_is_sound(text))
		return false;
	merge(&writer, trimmed(text), trimmed(patch));
	if (writer.has_failed)
		return false;
	*out_size = writer.used;
	return true;
}
