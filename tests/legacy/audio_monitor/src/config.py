from dataclasses import dataclass, field


@dataclass
class ServerConfig:
    host: str = '0.0.0.0'
    port: int = 5000
    debug: bool = True


@dataclass
class Config:
    server: ServerConfig = field(default_factory=ServerConfig)


config = Config()
