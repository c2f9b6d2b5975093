"""What the tables share."""

from sqlalchemy import MetaData
from sqlalchemy.dialects.postgresql import TIMESTAMP

metadata = MetaData()

TIME = TIMESTAMP(timezone=True)
