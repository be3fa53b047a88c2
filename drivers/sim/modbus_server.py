"""The simulated PLC on Modbus TCP, by pyModbusTCP: not the driver's library, on purpose."""

import socket
import threading
from typing import Any

from pyModbusTCP.server import DataBank, DataHandler, ModbusServer

from drivers.sim.plc_memory import (
    ILLEGAL_ADDRESS,
    NO_ANSWER_BEHIND_GATEWAY,
    PlcLayout,
    PlcMemory,
    PlcTrouble,
)
from drivers.sim.world import AgentImage, PlcImage

STOP_DEADLINE = 5.0


class SimPlcServer:
    """A PLC's Modbus server in threads of its own.

    `start` returns the TCP port. `unit` makes it behave as a gateway that knows this unit only
    (None: any unit is answered, as most PLCs do). `trouble` is read at every request.
    """

    def __init__(
        self,
        layout: PlcLayout | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        unit: int | None = None,
    ) -> None:
        self.memory = PlcMemory(layout or PlcLayout())
        self.trouble = PlcTrouble()
        self.requests = 0
        self.unit = unit
        self._host = host
        self._port = port
        self._server: _Server | None = None

    def start(self) -> int:
        """Listen; OSError or pyModbusTCP's NetworkError when the port is taken."""
        self._server = _Server(self, self._host, self._port)
        self._server.start()
        self._port = int(self._server.address[1])
        return self._port

    def stop(self) -> None:
        """Close every connection and end every thread; a later `start` takes the same port."""
        if self._server is not None:
            self._server.end()
            self._server = None

    def close_connections(self) -> None:
        """Drop all clients; they may connect again at once."""
        if self._server is not None:
            self._server.drop()

    def publish(self, image: PlcImage) -> None:
        """Show the plant's state to the agent. Cheap: only what is new is written."""
        self.memory.publish(image)

    def agent(self) -> AgentImage:
        """What the agent has written so far."""
        return self.memory.agent()


class _Handler(DataHandler):  # type: ignore[misc]
    """Modbus functions onto our memory."""

    def __init__(self, memory: PlcMemory) -> None:
        super().__init__(DataBank(virtual_mode=True))
        self._memory = memory

    def read_h_regs(self, address: int, count: int, srv_info: Any) -> Any:
        return self._answer(self._memory.read(True, address, count))

    def read_i_regs(self, address: int, count: int, srv_info: Any) -> Any:
        return self._answer(self._memory.read(False, address, count))

    def write_h_regs(self, address: int, words_l: list[int], srv_info: Any) -> Any:
        written = self._memory.write(address, words_l)
        return DataHandler.Return(exp_code=0 if written else ILLEGAL_ADDRESS)

    @staticmethod
    def _answer(words: list[int] | None) -> Any:
        if words is None:
            return DataHandler.Return(exp_code=ILLEGAL_ADDRESS)
        return DataHandler.Return(exp_code=0, data=words)


class _Session(ModbusServer.ModbusService):  # type: ignore[misc]
    """One client's connection: known to the server, so that it can be ended at once."""

    owner: "_Server"

    def setup(self) -> None:
        super().setup()
        self.owner.join(self.request)

    def finish(self) -> None:
        self.owner.leave()

    def _send_all(self, data: bytes) -> bool:
        trouble = self.owner.plc.trouble
        if trouble.garbage is not None:
            data = trouble.garbage
        elif trouble.mute or len(data) <= 7:  # 7: the engine left the answer empty
            return True
        return bool(super()._send_all(data))


class _Server(ModbusServer):  # type: ignore[misc]
    def __init__(self, plc: SimPlcServer, host: str, port: int) -> None:
        super().__init__(host=host, port=port, no_block=True, data_hdl=_Handler(plc.memory))
        self.plc = plc
        self._sessions: dict[threading.Thread, socket.socket] = {}
        self._guard = threading.Lock()
        self.ModbusService = type("Session", (_Session,), {"owner": self})

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self._service.server_address  # type: ignore[no-any-return]

    def start(self) -> None:
        super().start()
        if not self._evt_running.wait(STOP_DEADLINE):
            raise TimeoutError("the Modbus server's thread did not start")

    def _serve(self) -> None:
        # The library's own loop notices a stop only every half second.
        self._evt_running.set()
        try:
            self._service.serve_forever(poll_interval=0.02)
        finally:
            self._evt_running.clear()

    def end(self) -> None:
        """Stop listening, drop all clients, wait for the threads."""
        self.stop()
        self._serve_th.join(STOP_DEADLINE)
        self.drop()

    def drop(self) -> None:
        """Close all connections and wait for their threads."""
        with self._guard:
            sessions = dict(self._sessions)
        for connection in sessions.values():
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client had gone already
        for thread in sessions:
            thread.join(STOP_DEADLINE)

    def join(self, connection: socket.socket) -> None:
        """A session begins in this thread."""
        with self._guard:
            self._sessions[threading.current_thread()] = connection
        if not self.is_run:  # accepted while the server was ending
            connection.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """The session of this thread ended."""
        with self._guard:
            self._sessions.pop(threading.current_thread(), None)

    def _engine(self, session_data: Any) -> None:
        plc, request = self.plc, session_data.request
        plc.requests += 1
        if plc.trouble.ignores():
            return
        code = plc.trouble.exception
        if plc.unit is not None and request.mbap.unit_id != plc.unit:
            code = NO_ANSWER_BEHIND_GATEWAY
        if code:
            session_data.response.pdu.build_except(request.pdu.func_code, code)
        else:
            self._internal_engine(session_data)
