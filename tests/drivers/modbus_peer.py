"""A Modbus TCP server by pyModbusTCP in a process of its own; speaks as modbus_peer.c does."""

import sys

from pyModbusTCP.server import DataBank, ModbusServer


def main(port: int) -> None:
    bank = DataBank(coils_size=64, d_inputs_size=64, h_regs_size=600, i_regs_size=600)
    server = ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
    server.start()
    print("ready", flush=True)
    names = {"c": "coils", "d": "discrete_inputs", "i": "input_registers", "h": "holding_registers"}
    for line in sys.stdin:
        table, address, value = line.split()
        if value == "?":
            (found,) = getattr(bank, f"get_{names[table]}")(int(address), 1)
            print(int(found), flush=True)
        else:
            word = bool(int(value)) if table in "cd" else int(value)
            getattr(bank, f"set_{names[table]}")(int(address), [word])
            print("ok", flush=True)
    server.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]))
