/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/report/markup.h"

#include "injector/base/cleanup.h"
#include "injector/base/printable.h"

#include <stdarg.h>
#include <string.h>

static const char *xml_escape(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

static void put_xml(FILE *out, const char *text)
{
	for (; *text; text++) {
		const char *escape = xml_escape(*text);

		/* U+FFFE and U+FFFF are valid UTF-8 but no characters of XML */
		if ((unsigned char)text[0] == 0xef && (unsigned char)text[1] == 0xbf &&
		    (unsigned char)text[2] >= 0xbe) {
			fputc('?', out);
			text += 2;
		} else if (escape) {
			fputs(escape, out);
		} else {
			fputc(*text, out);
		}
	}
}

/* Everything that Markdown, or HTML in it, could take for more than text: a probe's output can
 * neither format the report nor put a link, an image or somebody's name into it. What is special
 * only at the start of a line never gets there. */
static void put_markdown(FILE *out, const char *text)
{
	for (const char *at = text; *at; at++) {
		const char *escape = xml_escape(*at);

		if (escape && *at != '"' && *at != '\'')
			fputs(escape, out);
		else if (*at == '@' || strncmp(at, "://", 3) == 0 ||
			 (*at == '.' && at - text >= 3 && strncasecmp(at - 3, "www", 3) == 0))
			fprintf(out, "&#%d;", *at);
		else if (strchr("\\`*_{}[]()#!|~", *at))
			fprintf(out, "\\%c", *at);
		else
			fputc(*at, out);
	}
}

static void put_text(struct markup *markup, const char *text)
{
	cleanup_free char *clean = strdup(text ? text : "");

	if (!clean)
		return;
	printable_clean(clean, true);
	if (markup->kind == MARKUP_MARKDOWN)
		put_markdown(markup->out, clean);
	else
		put_xml(markup->out, clean);
}

static void put_number(FILE *out, const char *spec, va_list *args)
{
	char last = spec[strlen(spec) - 1];
	double real;

	if (last == 'f') {
		const char *dot = strchr(spec, '.');

		real = va_arg(*args, double);
		fprintf(out, "%.*f", dot ? dot[1] - '0' : 6, real);
	} else if (strstr(spec, "ll")) {
		fprintf(out, "%lld", va_arg(*args, long long));
	} else if (strchr(spec, 'z')) {
		fprintf(out, "%zu", va_arg(*args, size_t));
	} else if (last == 'u') {
		fprintf(out, "%u", va_arg(*args, unsigned));
	} else {
		fprintf(out, "%d", va_arg(*args, int));
	}
}

void markup_put(struct markup *markup, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	while (*format) {
		size_t plain = strcspn(format, "%"), length;
		char spec[16];

		fwrite(format, 1, plain, markup->out);
		format += plain;
		if (!*format)
			break;
		length = strcspn(format + 1, "sdufz%") + 2;
		length += format[length - 1] == 'z'; /* %zu */
		if (length >= sizeof(spec))
			break; /* no format of ours */
		memcpy(spec, format, length);
		spec[length] = '\0';
		format += length;
		if (spec[length - 1] == '%')
			fputc('%', markup->out);
		else if (spec[length - 1] == 's')
			put_text(markup, va_arg(args, const char *));
		else
			put_number(markup->out, spec, &args);
	}
	va_end(args);
}
