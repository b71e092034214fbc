/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Changes of a content in memory: by regular expression, and by chance that can be repeated.
 */
#include "faults/file.h"

#include "injector/base/random.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS	   10
#define RESULT_MAX (64 << 20)

struct text {
	char *bytes; /* owned */
	size_t size, capacity;
	bool has_failed; /* no memory, or too long */
};

static void append(struct text *text, const char *bytes, size_t size)
{
	if (text->has_failed)
		return;
	if (text->size + size + 1 > text->capacity) {
		size_t capacity = (text->size + size + 1) * 2;
		char *grown = capacity > 2UL * RESULT_MAX ? NULL : realloc(text->bytes, capacity);

		if (!grown) {
			text->has_failed = true;
			return;
		}
		text->bytes = grown;
		text->capacity = capacity;
	}
	if (size)
		memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
}

/* \0 to \9 stand for what was found, \\ for a backslash, \n for a line break. */
static void append_with(struct text *text, const char *with, const char *found,
			const regmatch_t *groups)
{
	for (; *with; with++) {
		if (with[0] != '\\' || !with[1]) {
			append(text, with, 1);
			continue;
		}
		with++;
		if (isdigit((unsigned char)*with)) {
			const regmatch_t *group = &groups[*with - '0'];

			if (group->rm_so >= 0)
				append(text, found + group->rm_so,
				       (size_t)(group->rm_eo - group->rm_so));
		} else {
			append(text, *with == 'n' ? "\n" : with, 1);
		}
	}
}

/* Returns how often it was found. `bytes` ends with a NUL that does not count. */
static unsigned replace_all(const regex_t *pattern, const char *with, const char *bytes,
			    size_t size, struct text *out)
{
	regmatch_t groups[GROUPS];
	unsigned count = 0;
	size_t at = 0;

	while (at <= size && !out->has_failed) {
		groups[0] = (regmatch_t){.rm_so = 0, .rm_eo = (regoff_t)(size - at)};
		if (regexec(pattern, bytes + at, GROUPS, groups,
			    REG_STARTEND | (at && bytes[at - 1] != '\n' ? REG_NOTBOL : 0)) != 0)
			break;
		count++;
		append(out, bytes + at, (size_t)groups[0].rm_so);
		append_with(out, with, bytes + at, groups);
		if (groups[0].rm_eo == groups[0].rm_so) { /* of nothing: one byte further */
			if (at + (size_t)groups[0].rm_eo < size)
				append(out, bytes + at + groups[0].rm_eo, 1);
			at += (size_t)groups[0].rm_eo + 1;
		} else {
			at += (size_t)groups[0].rm_eo;
		}
	}
	if (at < size)
		append(out, bytes + at, size - at);
	return count;
}

int file_edit_replace(const char *pattern, const char *with, struct file_content *content,
		      struct error *err)
{
	struct text out = {0};
	regex_t compiled;
	unsigned count;

	if (memchr(content->bytes, '\0', content->size))
		return error_set(err, EINVAL,
				 "it holds zero bytes: a pattern is looked for in text only");
	if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NEWLINE) != 0)
		return error_set(err, EINVAL, "pattern: '%s' is not a regular expression", pattern);
	content->bytes[content->size] = '\0';
	count = replace_all(&compiled, with, content->bytes, content->size, &out);
	regfree(&compiled);
	append(&out, "", 0);
	if (out.has_failed || !count ||
	    (out.size == content->size && memcmp(out.bytes, content->bytes, out.size) == 0)) {
		bool has_failed = out.has_failed;

		free(out.bytes);
		if (has_failed)
			return error_set(err, EFBIG, "pattern: the result is too long");
		error_set(err, ENOENT,
			  count ? "pattern: '%s' is replaced by what is there already"
				: "pattern: '%s' is not found in it",
			  pattern);
		return error_remedy(err, "grep -nE shows what a pattern finds; ^ and $ stand for "
					 "the ends of a line");
	}
	free(content->bytes);
	content->bytes = out.bytes;
	content->size = out.size;
	snprintf(content->words, sizeof(content->words), "'%.80s' replaced %u time%s", pattern,
		 count, count == 1 ? "" : "s");
	return 0;
}

void file_edit_corrupt(uint64_t count, uint64_t seed, struct file_content *content)
{
	/* each byte with the probability that makes it exactly `count` (Knuth's algorithm S) */
	for (size_t at = 0; at < content->size && count; at++) {
		if (random_next(&seed) % (content->size - at) >= count)
			continue;
		content->bytes[at] = (char)(content->bytes[at] ^ (1 + random_next(&seed) % 255));
		count--;
	}
}
