/* A Modbus server by libmodbus: `modbus_peer tcp PORT` or `modbus_peer rtu PATH UNIT`.
   On stdin: "T ADDRESS VALUE" sets, "T ADDRESS ?" prints; T is c(oil), d(iscrete), i(nput), h(olding). */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>
#define TOP(a, b) ((a) > (b) ? (a) : (b))
static modbus_mapping_t *map;
static int cell(char t, int at) { return t == 'c' ? map->tab_bits[at] : t == 'd' ? map->tab_input_bits[at]
    : t == 'i' ? map->tab_input_registers[at] : map->tab_registers[at]; }
static void poke(char t, int at, int v) {
  if (t == 'c') map->tab_bits[at] = v; else if (t == 'd') map->tab_input_bits[at] = v;
  else if (t == 'i') map->tab_input_registers[at] = v; else map->tab_registers[at] = v; }
int main(int argc, char **argv) {
  int tcp = argc > 2 && !strcmp(argv[1], "tcp"), listener = -1, line = -1;
  modbus_t *ctx = tcp ? modbus_new_tcp("127.0.0.1", atoi(argv[2])) : modbus_new_rtu(argv[2], 19200, 'N', 8, 1);
  map = modbus_mapping_new(64, 64, 600, 600);
  if (tcp) listener = modbus_tcp_listen(ctx, 1);
  else { modbus_set_slave(ctx, atoi(argv[3])); if (modbus_connect(ctx)) return 1; line = modbus_get_socket(ctx); }
  if (tcp && listener < 0) return 1;
  puts("ready"); fflush(stdout);
  for (;;) {
    char text[256], t, v[16]; int at; unsigned char query[MODBUS_TCP_MAX_ADU_LENGTH];
    fd_set in; FD_ZERO(&in); FD_SET(0, &in); FD_SET(TOP(line, listener), &in);
    if (line >= 0) FD_SET(line, &in);
    if (select(TOP(line, listener) + 1, &in, 0, 0, 0) < 0) return 1;
    if (FD_ISSET(0, &in)) { ssize_t n = read(0, text, sizeof text - 1); if (n <= 0) return 0; text[n] = 0;
      if (sscanf(text, "%c %d %15s", &t, &at, v) == 3) { if (*v == '?') printf("%d\n", cell(t, at));
        else { poke(t, at, atoi(v)); puts("ok"); } } fflush(stdout); }
    if (tcp && FD_ISSET(listener, &in)) { if (line >= 0) close(line); line = modbus_tcp_accept(ctx, &listener); }
    else if (line >= 0 && FD_ISSET(line, &in)) { int n = modbus_receive(ctx, query);
      if (n > 0) modbus_reply(ctx, query, n, map); else if (n < 0 && tcp) { close(line); line = -1; } }
  }
}
