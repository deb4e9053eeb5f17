/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command.c - reads arguments by a command's row and writes its help from the same row
 */
#include "verifier/cli/command.h"

#include <stdio.h>
#include <string.h>
#include "libmonatt/base/text.h"

#define WORD_MAXIMUM 64   /* longer words are not compared for a hint */
#define NEAR_MAXIMUM 3    /* edits up to which a word counts as meant */
#define TEXT_MAXIMUM 4096 /* an option's text: a path is at most this long */
#define OPTION_WIDTH 30

static int find_option(const Command *command, const char *name, size_t size)
{
    for (int i = 0; command->options[i].name != NULL; i++) {
        if (strlen(command->options[i].name) == size &&
            strncmp(command->options[i].name, name, size) == 0) {
            return i;
        }
    }
    return -1;
}

const GPtrArray *command_values(const CommandArguments *arguments, const char *name)
{
    int i = find_option(arguments->command, name, strlen(name));
    g_assert(i >= 0);
    return arguments->values[i];
}

const char *command_value(const CommandArguments *arguments, const char *name)
{
    const GPtrArray *values = command_values(arguments, name);
    return values != NULL ? g_ptr_array_index(values, values->len - 1) : NULL;
}

gboolean command_has(const CommandArguments *arguments, const char *name)
{
    return find_option(arguments->command, name, strlen(name)) >= 0 &&
           command_values(arguments, name) != NULL;
}

void command_arguments_clear(CommandArguments *arguments)
{
    for (size_t i = 0; i < COMMAND_OPTIONS_MAXIMUM; i++) {
        g_clear_pointer(&arguments->values[i], g_ptr_array_unref);
    }
}

/* Levenshtein's distance. */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned row[WORD_MAXIMUM + 1];
    if (n > WORD_MAXIMUM || m > WORD_MAXIMUM) {
        return WORD_MAXIMUM;
    }
    for (size_t j = 0; j <= m; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned above = row[j];
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = MIN(MIN(above, row[j - 1]) + 1, change);
            diagonal = above;
        }
    }
    return row[m];
}

const char *command_closest(const char *word, const char *const *names)
{
    const char *best = NULL;
    unsigned best_distance = NEAR_MAXIMUM + 1;
    for (; *names != NULL; names++) {
        unsigned d = distance(word, *names);
        /* "--non" is meant to be "--nonce" however long the rest is. */
        if (strlen(word) >= 3 && strncmp(*names, word, strlen(word)) == 0) {
            d = MIN(d, 1);
        }
        if (d < best_distance && d < strlen(*names)) {
            best = *names;
            best_distance = d;
        }
    }
    return best;
}

/* What a user typed, made safe to show; free with g_free(). */
static char *show(const char *text)
{
    char shown[WORD_MAXIMUM + 1];
    monatt_text_printable(text, strlen(text), shown, sizeof(shown));
    return g_strdup(shown);
}

static gboolean fail(const Command *command, GError **error, const char *closest,
                     const char *format, ...) G_GNUC_PRINTF(4, 5);
static gboolean fail(const Command *command, GError **error, const char *closest,
                     const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *why = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree char *meant =
        closest != NULL ? g_strdup_printf("did you mean '--%s'? ", closest) : g_strdup("");
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                "%s %s: %s\nhint: %ssee 'monatt %s %s --help'", command->noun, command->verb, why,
                meant, command->noun, command->verb);
    return FALSE;
}

static gboolean take_option(const Command *command, int *at, int argc, char **argv,
                            CommandArguments *ret, GError **error)
{
    const char *word = argv[*at] + 2;
    const char *equals = strchr(word, '=');
    size_t size = equals != NULL ? (size_t)(equals - word) : strlen(word);
    int i = find_option(command, word, size);
    if (i < 0) {
        const char *names[COMMAND_OPTIONS_MAXIMUM + 2] = {NULL};
        size_t count = 0;
        for (; command->options[count].name != NULL; count++) {
            names[count] = command->options[count].name;
        }
        names[count] = "help";
        g_autofree char *name = g_strndup(word, size);
        g_autofree char *shown = show(argv[*at]);
        return fail(command, error, command_closest(name, names), "unknown option '%s'", shown);
    }
    const CommandOption *option = &command->options[i];
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (option->value == NULL && value != NULL) {
        return fail(command, error, NULL, "option '--%s' takes no value", option->name);
    }
    if (option->value != NULL && value == NULL) {
        if (*at + 1 >= argc) {
            return fail(command, error, NULL, "option '--%s' needs a value (%s)", option->name,
                        option->value);
        }
        value = argv[++*at];
    }
    if (value != NULL && (value[0] == 0 || strlen(value) > TEXT_MAXIMUM)) {
        return fail(command, error, NULL, "value of option '--%s' is empty or too long",
                    option->name);
    }
    if (ret->values[i] == NULL) {
        ret->values[i] = g_ptr_array_new();
    } else if (!option->many) {
        return fail(command, error, NULL, "option '--%s' is given twice", option->name);
    }
    g_ptr_array_add(ret->values[i], (gpointer)(value != NULL ? value : ""));
    return TRUE;
}

static gboolean check_complete(const Command *command, const CommandArguments *arguments,
                               GError **error)
{
    for (size_t i = 0; i < COMMAND_POSITIONALS_MAXIMUM && command->positionals[i] != NULL; i++) {
        if (arguments->positionals[i] == NULL && command->positionals[i][0] != '[') {
            return fail(command, error, NULL, "%s is missing", command->positionals[i]);
        }
    }
    for (size_t i = 0; command->options[i].name != NULL; i++) {
        if (command->options[i].required && arguments->values[i] == NULL) {
            return fail(command, error, NULL, "option '--%s %s' is missing",
                        command->options[i].name, command->options[i].value);
        }
    }
    if (command->rest != NULL && (arguments->rest == NULL || arguments->rest[0] == NULL)) {
        return fail(command, error, NULL, "%s is missing", command->rest);
    }
    return TRUE;
}

gboolean command_parse(const Command *command, int argc, char **argv, CommandArguments *ret,
                       gboolean *ret_help, GError **error)
{
    size_t count = 0;
    *ret = (CommandArguments){.command = command};
    *ret_help = FALSE;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            if (command->rest == NULL) {
                return fail(command, error, NULL, "'--' has no meaning here");
            }
            ret->rest = argv + i + 1;
            break;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *ret_help = TRUE;
            return TRUE;
        }
        if (strncmp(argv[i], "--", 2) == 0) {
            if (!take_option(command, &i, argc, argv, ret, error)) {
                return FALSE;
            }
        } else if (argv[i][0] == '-' && argv[i][1] != 0) {
            g_autofree char *shown = show(argv[i]);
            return fail(command, error, NULL, "unknown option '%s'", shown);
        } else if (count < COMMAND_POSITIONALS_MAXIMUM && command->positionals[count] != NULL) {
            ret->positionals[count++] = argv[i];
        } else {
            g_autofree char *shown = show(argv[i]);
            return fail(command, error, NULL, "unexpected '%s'", shown);
        }
    }
    return check_complete(command, ret, error);
}

char *command_help(const Command *command)
{
    GString *out = g_string_new("usage: monatt ");
    g_string_append_printf(out, "%s %s", command->noun, command->verb);
    for (size_t i = 0; i < COMMAND_POSITIONALS_MAXIMUM && command->positionals[i] != NULL; i++) {
        g_string_append_printf(out, " %s", command->positionals[i]);
    }
    for (const CommandOption *o = command->options; o->name != NULL; o++) {
        g_string_append_printf(out, "%s--%s%s%s%s%s", o->required ? " " : " [", o->name,
                               o->value != NULL ? " " : "", o->value != NULL ? o->value : "",
                               o->required ? "" : "]", o->many ? "..." : "");
    }
    if (command->rest != NULL) {
        g_string_append_printf(out, " %s", command->rest);
    }
    g_string_append_printf(out, "\n\n%s\n\noptions:\n", command->summary);
    for (const CommandOption *o = command->options; o->name != NULL; o++) {
        g_autofree char *left = g_strdup_printf("--%s%s%s", o->name, o->value != NULL ? " " : "",
                                                o->value != NULL ? o->value : "");
        g_string_append_printf(out, "  %-*s %s%s\n", OPTION_WIDTH, left, o->help,
                               o->required ? " (required)" : "");
    }
    g_string_append_printf(out, "  %-*s %s\n", OPTION_WIDTH, "--help", "this text");
    return g_string_free(out, FALSE);
}

void command_print(FILE *stream, const char *text, gsize size)
{
    for (gsize i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        fputc(c == '\n' || (c >= 0x20 && c < 0x7f) ? c : '?', stream);
    }
}

gboolean command_read_nonce(const char *text, uint8_t nonce[MONATT_NONCE_SIZE], GError **error)
{
    MonattError err = {0};
    if (monatt_text_to_bytes(text, nonce, MONATT_NONCE_SIZE, &err)) {
        return TRUE;
    }
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                "nonce: must be %d hexadecimal digits\nhint: 'monatt vm attest' writes it to "
                "--nonce-file",
                2 * MONATT_NONCE_SIZE);
    return FALSE;
}
